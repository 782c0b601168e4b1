"""What is asked of tables, in GoogleSQL: Google's analyser accepts it, and Google's executor and DuckDB return the same rows.

The reference pipeline's own queries are analysed here too: starting the engine takes many seconds in every process that does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import duckdb
import pytest
from test_reference_sql import QUERIES, TABLES, columns_of, expected_columns, google_sql

from backfill_core.adapters.bigquery_partitions import PARTITIONS as PARTITIONS_TEXT
from backfill_core.adapters.bigquery_warehouse import COLUMNS as COLUMNS_TEXT
from backfill_core.dates import DateSet, Span, day_number
from backfill_core.model.calendar import Schedule
from backfill_core.model.processor import Processor
from backfill_core.model.table import Table
from backfill_core.project.load import load_project
from backfill_core.queries.dialect import BIGQUERY, DUCKDB, Dialect, Names, Query
from backfill_core.queries.named import named
from backfill_core.queries.packed import packed, unpacked
from backfill_core.queries.question import (
    BreakingQuestion,
    ColumnCheck,
    KeyComparison,
    KeyMatch,
    KeysQuestion,
    NamingQuestion,
    TableQuestion,
)
from backfill_core.queries.replacing import replacing
from backfill_core.queries.schedule_sql import schedule_entries, schedule_query
from backfill_core.queries.sql import QuestionSql, naming_query
from projects import ROOT

_1970 = date(1970, 1, 1)
SPAN = Span(date(2024, 10, 22), date(2024, 10, 27))
LINES = {
    "day": "DATE",
    "at": "TIMESTAMP",
    "text": "STRING",
    "player": "STRING",
    "team": "STRING",
    "points": "INT64",
    "active": "BOOL",
    "source": "STRING",
    "written": "TIMESTAMP",
}
#: Two views of INFORMATION_SCHEMA, as Google documents them.
PARTITIONS = {"table_name": "STRING", "partition_id": "STRING", "total_rows": "INT64"}
COLUMNS = dict.fromkeys(("table_name", "column_name", "data_type", "is_partitioning_column"), "STRING")
DUCKDB_TYPES = {
    "DATE": "DATE",
    "TIMESTAMP": "TIMESTAMPTZ",
    "STRING": "VARCHAR",
    "INT64": "BIGINT",
    "BOOL": "BOOLEAN",
}
BY_DAY = Table("box.lines", date="day", key=("player",), updated="written", hash="source")
STAMPED = replace(BY_DAY, date="at", date_type="TIMESTAMP", zone="America/New_York", key=("player", "team"))
WRITTEN = replace(BY_DAY, date="text", date_type="STRING", format="%Y%m%d", updated=None, key=())
OTHER = Table("box.roster", date="day", key=("player", "team"), only={"source": "api"})
OTHERS = (OTHER, replace(OTHER, date="at", date_type="TIMESTAMP", zone="Asia/Tokyo", only={}), replace(WRITTEN, name=OTHER.name))
#: A day in the second season, with rows, for which keys are named.
DAY = date(2024, 10, 25)
DAYS = DateSet.of(*(SPAN.first + timedelta(days=n) for n in (0, 1, 3, 4, 5)))
SEASONS = (Span(date(2024, 10, 1), date(2024, 10, 23)), Span(date(2024, 10, 24), date(2024, 10, 27)))


def rows(seed: int) -> list[dict[str, Any]]:
    """Forty rows over a fortnight, with holes in every column, that two tables partly share."""
    found = []
    for n in range(40):
        day = date(2024, 10, 16) + timedelta(days=(n * seed) % 13)
        at = datetime(day.year, day.month, day.day, (n * 5) % 24, tzinfo=UTC)
        found.append(
            {
                "day": day,
                "at": at,
                "text": f"{day:%Y%m%d}",
                "player": "abc"[n % 3] if n % 11 else None,
                "team": "xy"[n * seed % 2] if n % 7 else None,
                "points": n % 4 if n % 5 else None,
                "active": n % 3 == 0 if n % 9 else None,
                "source": ("api", "web")[n % 5 == 0],
                "written": at + timedelta(hours=n) if n % 6 else None,
            }
        )
    return found


HELD = {"box.lines": rows(3), "box.roster": rows(5), "box.picked": rows(4)}


def questions() -> Iterator[TableQuestion]:
    """Every kind of table, check and comparison, alone and beside another of its kind."""
    own_checks = (
        ColumnCheck(name="null", column="points"),
        ColumnCheck(name="above", column="points", positive=True, among="active"),
        ColumnCheck(name="one of", column="team", values=("x", "it's")),
        ColumnCheck(name="number", column="points", values=(0, 2), among="active"),
    )
    # Every kind of table meets one other, and one kind every other: what is written of the two does not mix.
    for table in (BY_DAY, STAMPED, WRITTEN, replace(BY_DAY, only={"source": "api"}, hash=None)):
        keys, made_from = ("player", "points"), ("team", "player")
        yield TableQuestion(processor="lines", table=table, span=SPAN, keys=keys, checks=own_checks, made_from=made_from)
        for other in OTHERS if table is STAMPED else OTHERS[:1]:
            yield TableQuestion(processor="lines", table=table, span=SPAN, checks=apart(other))
            for pair in comparisons(other):
                yield TableQuestion(processor="lines", table=table, span=SPAN, comparisons=(pair,))
    yield TableQuestion(processor="lines", table=BY_DAY, span=SPAN, checks=apart(OTHER), comparisons=tuple(comparisons(OTHER)))
    yield TableQuestion(processor="lines", table=BY_DAY, span=SPAN, absent=True, comparisons=tuple(comparisons(OTHER)))


def apart(other: Table) -> tuple[ColumnCheck, ...]:
    match = KeyMatch(own=("player", "team"), theirs=("player", "team"), other=other)
    keyed = replace(other, key=("player",))
    return (
        ColumnCheck(name="among", column="points", positive=True, among="player", among_table=keyed),
        ColumnCheck(name="match", match=match),
        ColumnCheck(name="match of some", match=match, among="active"),
        ColumnCheck(name="match among", match=match, among="player", among_table=keyed),
        ColumnCheck(name="allowed among", column="points", values=(1,), among="player", among_table=keyed),
    )


def comparisons(other: Table) -> Iterator[KeyComparison]:
    plain = KeyComparison(name="plain", own=("player", "team"), theirs=("player", "team"), other=other)
    third = Table("box.picked", date="at", date_type="TIMESTAMP", key=("player",))
    reaches = tuple((n, min(n + 3, day_number(SPAN.last))) for n in range(day_number(SPAN.first) - 3, day_number(SPAN.last)))
    back = replace(plain, days=DAYS)
    yield plain
    yield replace(plain, name="third", third=third, third_columns=("player",))
    yield replace(plain, name="at least", at_least=1, seasons=SEASONS)
    yield replace(back, name="to date", to_date=True, seasons=SEASONS)
    yield replace(back, name="to date twice", to_date=True, at_least=2, seasons=SEASONS)
    yield replace(back, name="window", reaches=reaches)
    yield replace(back, name="window twice", reaches=reaches, at_least=2)


def statements(question: TableQuestion, dialect: Dialect) -> list[Query]:
    sql = QuestionSql(question, dialect, Names())
    return [*([] if question.absent else [sql.facts()]), *(pair.query for pair in sql.pairs())]


def listings(question: TableQuestion, dialect: Dialect) -> list[Query]:
    """What names the keys that each of its comparisons and checks counts, on a day of the span."""
    name, table = question.processor, question.table
    asked: list[NamingQuestion] = [
        KeysQuestion(processor=name, table=table, day=DAY, pair=pair, absent=question.absent) for pair in question.comparisons
    ]
    if not question.absent:
        checks = (None, *question.checks)
        broken = [BreakingQuestion(processor=name, table=table, day=DAY, check=check) for check in checks]
        asked += [each for each in broken if each.key]
    return [naming_query(each, 2, dialect, Names(), lambda rule, _: rule.file) for each in asked]


def test_every_question_takes_the_statements_it_says() -> None:
    for question in questions():
        assert len(statements(question, BIGQUERY)) == question.queries, question


@pytest.mark.parametrize("dialect", [BIGQUERY, DUCKDB])
def test_every_table_that_is_read_is_filtered_by_its_raw_date_column(dialect: Dialect) -> None:
    named = {table.name: table for table in (BY_DAY, OTHER)}
    q, mark = re.escape(dialect.quote), re.escape(dialect.marker)
    for question in questions():
        for query in statements(question, dialect) + listings(question, dialect):
            aliases = re.findall(rf"{q}box{q}\.{q}\w+{q} AS (\w+)", query.text)
            assert len(aliases) == query.text.count("box" + dialect.quote) > 0, named
            for alias in aliases:
                between = rf"{alias}\.{q}(?:day|text){q} BETWEEN {mark}first_{alias} AND {mark}last_{alias}\b"
                instants = rf"{alias}\.{q}at{q} >= {mark}first_{alias} AND {alias}\.{q}at{q} < {mark}last_{alias}\b"
                assert re.search(f"{between}|{instants}", query.text), (alias, query.text)


def test_no_value_stands_in_the_text() -> None:
    for question in questions():
        for query in statements(question, BIGQUERY) + listings(question, BIGQUERY):
            assert set(re.findall(r"@(\w+)", query.text)) == set(query.params)
            assert not re.search(r"'[^',]+'", query.text), query.text


class Google:
    """Google's analyser and reference executor, over the tables of these tests and of the reference pipeline."""

    def __init__(self, api: Any, types: Any, more: Mapping[str, Mapping[str, str]] | None = None) -> None:
        self.api, self.types = api, types
        self.language = types.LanguageOptions.maximum_features()
        self.language.product_mode = types.ProductMode.PRODUCT_EXTERNAL
        kinds = ("QUERY", "CREATE_TABLE", "CREATE_TABLE_AS_SELECT", "DELETE", "INSERT", "BEGIN", "COMMIT")
        self.language.supported_statement_kinds = [getattr(types.ResolvedNodeKind, f"RESOLVED_{kind}_STMT") for kind in kinds]
        functions = types.ZetaSQLBuiltinFunctionOptions(language_options=self.language)
        catalog = api.CatalogBuilder("tests").with_builtin_functions(functions)
        tables = {name: columns_of(name) for name in TABLES} | {name: list(LINES.items()) for name in HELD}
        tables |= {name: list(columns.items()) for name, columns in (more or {}).items()}
        for table, columns in tables.items():
            builder = api.TableBuilder(table)
            for name, kind in columns:
                builder.add_column(name, getattr(types.TypeKind, kind_name(kind)))
            catalog.add_table(builder.build())
        self.catalog = catalog.build()
        cells = {name: [[self.value(row[column]) for column in LINES] for row in held] for name, held in HELD.items()}
        self.content = {name: self._content(found) for name, found in cells.items()}

    def options(self, params: Mapping[str, Any]) -> Any:
        given = [self.types.AnalyzerOptions.QueryParameter(name=n, type=self.type_of(v)) for n, v in params.items()]
        return self.types.AnalyzerOptions(language_options=self.language, default_timezone="UTC", query_parameters=given)

    def output_of(self, text: str, params: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Names and types of what a statement returns. Raises what the analyser says against it."""
        statement = self.api.Analyzer(self.options(params), self.catalog).analyze_statement(text)
        return [(column.name, column.column.type.type_kind.name) for column in statement.output_column_list]

    def with_tables(self, tables: Mapping[str, Mapping[str, str]]) -> Google:
        """The same with more tables, and every kind of statement."""
        return Google(self.api, self.types, tables)

    def accepts(self, text: str, params: Mapping[str, Any]) -> None:
        """Raises what the analyser says against a statement of any kind."""
        self.api.Analyzer(self.options(params), self.catalog).analyze_statement(text)

    def rows(self, query: Query) -> list[tuple[Any, ...]]:
        text = dotted(query.text)
        builder = self.api.PreparedQuery.builder().set_sql(text).set_analyzer_options(self.options(query.params))
        with builder.set_catalog(self.catalog).set_table_content(self.content).prepare() as prepared:
            params = [self.types.Parameter(name=n, value=self.value(v)) for n, v in query.params.items()]
            answer = prepared.execute(parameters=params)
        held = answer.content.table_data
        return [tuple(plain(cell) for cell in row.cell) for row in held.row] if held else []

    def type_of(self, value: Any) -> Any:
        if isinstance(value, list):
            return self.api.TypeFactory.create_array_type(self.type_of(value[0]))
        kinds = {bool: "BOOL", int: "INT64", str: "STRING", datetime: "TIMESTAMP", date: "DATE"}
        return self.api.TypeFactory.create_simple_type(getattr(self.types.TypeKind, f"TYPE_{kinds[type(value)]}"))

    def value(self, value: Any) -> Any:
        return self._value(value).to_proto()

    def _value(self, value: Any) -> Any:
        make = self.api.Value
        match value:
            case None:
                return make.null(self.types.TypeKind.TYPE_INT64)
            case list():
                return make.array([self._value(each) for each in value])
            case bool():
                return make.bool(value)
            case int():
                return make.int64(value)
            case str():
                return make.string(value)
            case datetime():
                return make.timestamp(value)
            case _:
                return make.date(value.year, value.month, value.day)

    def _content(self, cells: list[list[Any]]) -> Any:
        data = self.types.TableData(row=[self.types.TableData.Row(cell=row) for row in cells])
        return self.types.TableContent(table_data=data)


def dotted(text: str) -> str:
    """The text with each table's path in one pair of quotes, as the engine wants the name of a table in its catalogue."""
    return re.sub(r"`box`\.`(\w+)`", r"`box.\1`", text)


def kind_name(google_type: str) -> str:
    """The name ZetaSQL's enumeration has for a type."""
    return "TYPE_DOUBLE" if google_type == "FLOAT64" else f"TYPE_{google_type}"


def plain(cell: Any) -> Any:
    """A value as Python has it."""
    for name in ("int64_value", "string_value", "date_value", "array_value"):
        value = getattr(cell, name)
        if value is not None:
            return [plain(each) for each in value.element] if name == "array_value" else value
    return None


@pytest.fixture(scope="module")
def google() -> Google:
    api = pytest.importorskip("zetasql.api", reason="zetasql is not installed", exc_type=ImportError)
    types = pytest.importorskip("zetasql.types", reason="zetasql is not installed", exc_type=ImportError)
    return Google(api, types)


@pytest.fixture(scope="module")
def embedded() -> Iterator[duckdb.DuckDBPyConnection]:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("CREATE SCHEMA box")
    columns = ", ".join(f"{DUCKDB.name(name)} {DUCKDB_TYPES[kind]}" for name, kind in LINES.items())
    for name, held in HELD.items():
        connection.execute(f"CREATE TABLE {name} ({columns})")
        connection.executemany(f"INSERT INTO {name} VALUES ({', '.join('?' * len(LINES))})", [list(row.values()) for row in held])
    yield connection
    connection.close()


def test_google_and_duckdb_return_the_same_rows(google: Google, embedded: duckdb.DuckDBPyConnection) -> None:
    told = 0
    for question in questions():
        # Names are listed from the same relations; asking Google for each of them twice would take as long again.
        named = len(question.comparisons) > 1 or question.table is WRITTEN
        google_says, duckdb_says = (
            [*statements(question, each), *(listings(question, each) if named else [])] for each in (BIGQUERY, DUCKDB)
        )
        pairs = zip(google_says, duckdb_says, strict=True)
        for theirs, ours in pairs:
            found = embedded.execute(ours.text, dict(ours.params)).fetchall()
            same = [tuple((value - _1970).days if isinstance(value, date) else value for value in row) for row in found]
            assert sorted(google.rows(theirs), key=repr) == sorted(same, key=repr), theirs.text
            told += len(found)
    assert told > 500


def test_a_schedule_is_read_the_same_by_both(google: Google, embedded: duckdb.DuckDBPyConnection) -> None:
    for table in (BY_DAY, STAMPED, WRITTEN, replace(BY_DAY, only={"source": "api"})):
        calendar = Schedule("games", files="none", date="day", key="player", season="team", type="points", expected=("1",))
        theirs, ours = (schedule_query(calendar, table, dialect, Names()) for dialect in (BIGQUERY, DUCKDB))
        found = embedded.execute(ours.text, dict(ours.params)).fetchall()
        same = [((day - _1970).days, *texts) for day, *texts in found]
        assert sorted(google.rows(theirs), key=repr) == sorted(same, key=repr), theirs.text
        assert len(set(found)) == len(found) > 10
        day = f"t.{BIGQUERY.name(table.date)}"
        assert f"WHERE {day} BETWEEN" in theirs.text or f"WHERE {day} >=" in theirs.text, "some tables want a filter"
        assert {"", "a"} <= {entry.key for entry in schedule_entries(found)}


def test_what_is_packed_for_a_script_comes_out_as_it_was(google: Google, embedded: duckdb.DuckDBPyConnection) -> None:
    told = next(each for each in questions() if len(each.comparisons) > 1 and not each.absent)
    rows = unpacked(google.rows(packed(statements(told, BIGQUERY), first=1)))
    for place, query in enumerate(statements(told, DUCKDB), start=1):
        found = embedded.execute(query.text, dict(query.params)).fetchall()
        assert found
        assert sorted(rows[place], key=repr) == sorted(found, key=repr), query.text


def test_google_analyses_every_question_as_it_is_sent(google: Google) -> None:
    for question in questions():
        if question.queries == 1 or len(question.comparisons) == 1:
            continue  # it goes alone, as it is; or it is a part of another
        together = packed(statements(question, BIGQUERY))
        google.accepts(dotted(together.text), together.params)


def test_google_reads_any_name_as_it_is(google: Google) -> None:
    for name in ("a`b", "a\\", "it's; DROP TABLE x; --", 'a"b', "a\nb", "`; SELECT 1 AS `x"):
        text = f"SELECT t.{BIGQUERY.name(name)} FROM (SELECT 1 AS {BIGQUERY.name(name)}) AS t"
        assert google.output_of(text, {}) == [(name, "TYPE_INT64")]


def test_google_analyses_the_metadata_of_partitions(google: Google) -> None:
    seen = google.with_tables({"shop.INFORMATION_SCHEMA.PARTITIONS": PARTITIONS, "shop.INFORMATION_SCHEMA.COLUMNS": COLUMNS})
    for text, view in ((PARTITIONS_TEXT, "PARTITIONS"), (COLUMNS_TEXT, "COLUMNS")):
        text = text.format("`shop`").replace(f"`shop`.INFORMATION_SCHEMA.{view}", f"`shop.INFORMATION_SCHEMA.{view}`")
        seen.accepts(text, {"tables": ["orders"]} if "@tables" in text else {})


def test_google_analyses_what_replaces_dates(google: Google) -> None:
    """Every statement of the script, with its own temporary tables beside the others."""
    keyed = replace(STAMPED, only={"source": "api"})
    plainest = {table.date: question for question in questions() if not question.absent for table in (question.table,)}
    for table in (BY_DAY, keyed, WRITTEN, replace(BY_DAY, key=())):
        facts = statements(replace(plainest[table.date], table=table), BIGQUERY)
        columns = [table.date, "player", "team", "source"]
        select = f"SELECT {', '.join(map(BIGQUERY.name, columns))} FROM `box`.`roster` WHERE day BETWEEN @date_from AND @date_to"
        texts = {DAY: "one", SPAN.first: "another"}
        contents = {"source": texts, "made": texts}
        script = replacing(select, columns, table, DAYS, Names(), contents=contents, facts=facts)
        kinds = {name: LINES[name] for name in columns} | {"made": "STRING"}
        seen = google.with_tables(
            {
                "box.lines": LINES | {"made": "STRING"},
                "backfill_result": kinds,
                "backfill_shrunk": {"day": "DATE", "held": "INT64", "given": "INT64"},
                "backfill_facts": {"part": "INT64", "line": "STRING"},
            }
        )
        lines = script.text.split(";\n")
        assert lines[0].startswith("CREATE TEMP TABLE backfill_result") and "COMMIT TRANSACTION" in lines
        assert sum(line.startswith("CREATE TEMP TABLE backfill_facts") for line in lines) == 1
        for statement in lines:
            seen.accepts(dotted(statement), script.params)


def test_google_analyses_every_declared_table(google: Google) -> None:
    found = [each.value for each in load_project(ROOT)[0] if isinstance(each.value, Processor)]
    tables = {table.name: table for processor in found for table in processor.tables.values() if table.ddl}
    assert len(tables) > 12
    for table in tables.values():
        google.accepts(re.sub(r"`(\w+)`\.`(\w+)`", r"`\1.\2`", named(table.ddl or "", {"table": table}, BIGQUERY, Names())), {})


def test_google_analyses_the_reference_queries_to_the_declared_columns(google: Google) -> None:
    params = dict.fromkeys(("date_from", "date_to"), SPAN.first)
    for query in QUERIES:
        try:
            kinds = google.output_of(google_sql(query), params)
        except Exception as error:
            error.add_note(f"in {query}.sql")
            raise
        assert kinds == [(name, kind_name(kind)) for name, kind in expected_columns(query)], query
