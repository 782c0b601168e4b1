"""Words that people type, with every sign in them that would end a string, a name or a statement somewhere."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb

from backfill_core.testing.bigquery_server import BigQueryServer
from cloud_shop import fill_orders, make_tables, write_shop
from projects import backfill

WORDS = 'it\'s "so"`; DROP SCHEMA shop CASCADE; --'
SPAN = ("--to", "2024-05-09", "--today", "2024-07-20")


def write_target(shop: Path, *lines: str) -> None:
    """Puts those lines into the target's settings; the first says that it is another one."""
    settings = (shop / "backfill.toml").read_text(encoding="utf-8").replace('prefix = "test_"\n', "")
    if lines[0].startswith("["):
        settings = settings.partition("[targets.cloud]")[0].replace('"cloud"', '"local"')
    (shop / "backfill.toml").write_text(settings + "\n".join([*lines, ""]), encoding="utf-8")


def test_a_prefix_folders_and_a_reason_on_an_embedded_target(tmp_path: Path) -> None:
    shop = write_shop(tmp_path, "http://127.0.0.1:1")
    folder = "land'ing;`\"`"
    (shop / folder).mkdir()
    lines = ["[targets.local]", 'runtime = "local"', 'warehouse = "w;\'.duckdb"', f"landing = {json.dumps(folder)}"]
    write_target(shop, *lines, f"prefix = {json.dumps(WORDS)}")
    with duckdb.connect(str(shop / "w;'.duckdb")) as connection:
        for schema in ("shop", f"{WORDS}shop"):
            name = '"' + schema.replace('"', '""') + '"'
            connection.execute(f"CREATE SCHEMA {name}")
            connection.execute(f"CREATE TABLE {name}.orders (day DATE, shop VARCHAR, amount BIGINT, written TIMESTAMPTZ)")
            rows = [["2024-05-01", shop_name, 1] for shop_name in (WORDS, "b", "c")]
            connection.executemany(f"INSERT INTO {name}.orders VALUES (?, ?, ?, now())", rows)
    words = ("--processor", "sums", "--dates", "2024-05-01", "--allow-shrink", WORDS, "--yes")
    came = backfill(shop, "execute", *SPAN, *words)
    assert came.returncode == 0, came.stdout + came.stderr
    report = json.loads(backfill(shop, "report", "--format", "json").stdout)
    assert report["overrides"] == {"allow-shrink": WORDS}
    with duckdb.connect(str(shop / "w;'.duckdb"), read_only=True) as connection:
        held = connection.execute("SELECT schema_name, table_name FROM duckdb_tables()").fetchall()
    assert sorted(held) == sorted([("shop", "orders"), (f"{WORDS}shop", "orders"), (f"{WORDS}shop", "sums")])


def test_a_prefix_on_bigquery(tmp_path: Path) -> None:
    with BigQueryServer("shop-project") as server:
        fill_orders(server)
        make_tables(server)
        shop = write_shop(tmp_path, server.url)
        write_target(shop, f"prefix = {json.dumps(WORDS)}")
        made = backfill(shop, "create-tables", "--yes")
        assert made.returncode == 0, made.stderr
        came = backfill(shop, "coverage", *SPAN)
        assert came.returncode == 0, came.stderr
        assert server.engine.datasets.keys() == {"test_shop", f"{WORDS}shop"}
        assert {table for table in server.engine.tables if table[0] != "test_shop"} == {
            (f"{WORDS}shop", "sums"),
            (f"{WORDS}shop", "weeks"),
        }
        assert server.engine.count("test_shop", "orders") == 180
