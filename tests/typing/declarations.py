"""Declarations as authors write them. mypy reads this file in `make check`; nothing runs it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import assert_type

from backfill_core import (
    SEASON_TO_DATE,
    SOURCE,
    Allowed,
    Answer,
    AtMost,
    CalendarKeys,
    Command,
    EveryDay,
    Files,
    Gate,
    Http,
    KeysOf,
    Layer,
    MatchingKeys,
    Monthly,
    Need,
    NotNull,
    Offending,
    Output,
    Poll,
    Positive,
    Processor,
    Python,
    Rows,
    RunContext,
    Schedule,
    Secret,
    Service,
    Sign,
    Sql,
    Table,
    UniqueKey,
    Weekly,
    any_of,
    calendar_dates,
    days,
    last_games,
)

DAILY = EveryDay("daily", since=date(2024, 5, 1))
MONDAYS = Weekly("mondays", weekday=0)
BILLS = Monthly("bills", day=31)
GAMES = Schedule(
    "games", files="s/*.csv", date="d", key="id", season="s", type="t", expected=("002",), labels={"1": "x"}, tables={"gcp": "a"}
)
RAW = Layer("raw", aliases=("L1",))
SUMS = Layer("sums", after=("raw",), measured_by=("sums", "id"), gates=(Gate("g", measure="sums", key="id", at_least=0.9),))


def load(dates: list[date], ctx: RunContext) -> Iterable[dict[str, object]]:
    return [{"day": day, "path": ctx.files["files"].get(day), "table": ctx.tables["orders"]} for day in dates]


FILES = Processor("files", layer="raw", calendar="games", writes=Files("f/{date}.csv"), complete_when=Rows(), run=SOURCE)
ORDERS = Processor(
    "orders",
    layer="raw",
    calendar="games",
    writes=Table("shop.orders", date="day", key=("id",), updated="at", settles_after=days(2), only={"kind": "a"}),
    needs=(any_of("files", "other", window=days(3), share=0.5), Need("orders", window=calendar_dates(1))),
    complete_when=(CalendarKeys("id", exactly=2), AtMost(1.1, of="files"), Rows(at_least=3)),
    rules=(UniqueKey(), NotNull("n", share=0.9, among="active"), Positive("n"), Offending("sums", sql="r.sql", reads=("files",))),
    warmup=days(14),
    also=(Output(Table("shop.lines", date="day", key=("id", "item")), complete_when=Rows(at_least=1), rules=(UniqueKey(),)),),
    run=Python(load, max_dates=7),
)
TOTALS = Processor(
    "sums",
    layer="sums",
    calendar="mondays",
    writes=Table("shop.sums", date="at", date_type="TIMESTAMP", zone="Europe/Berlin", hash="h"),
    needs=(Need("orders", window=last_games(5, per="team", within=30), soft=True, hash="of"), any_of("files", "x", hash="made")),
    rules=(Allowed("n", values=(1, "x")), MatchingKeys("orders", columns=("id",), share=0.9, among="id in orders")),
    complete_when=KeysOf("orders", at_least=10, window=SEASON_TO_DATE, share=0.9),
    run={"local": Sql("sums.sql", max_dates=7)},
)

SHARED = Service(name="l4", in_flight=5, lock=600.0)
PROGRAM = Command(
    ["run", "{date}"],
    environment={"KEY": "${KEY}", "T": Secret("env:TOKEN")},
    exit_codes={3: "declined"},
    timeout=60.0,
    service=SHARED,
)
ANSWER = Answer(
    results="results", status="ok", means={True: "done", "no": "failed"}, signs=(Sign("locked", at="a", values=(0,)),)
)
SERVICE = Http("https://l4.test/x", json={"d": ["{date}"]}, answer=ANSWER, poll=Poll("{location}"), statuses={404: "declined"})
KNOWN = Http("https://l4.test/x", identity=True, headers={"X-Key": Secret("env:KEY"), "X": f"Key {Secret('env:KEY')}"})
OTHER = Http("https://l4.test/x", identity="https://audience.test", json={"key": Secret("env:KEY")})
Command(["run", Secret("env:KEY")])  # type: ignore[list-item]
Command(["run"], exit_codes={3: "decline"})  # type: ignore[dict-item]

assert_type(RAW.short, str)
assert_type(ORDERS.needs, tuple[Need, ...])
Processor("wrong", layer="raw", calendar="daily", writes="shop.t", complete_when=Rows(), run=SOURCE)  # type: ignore[arg-type]
Need("orders", 3)  # type: ignore[call-arg, arg-type]
