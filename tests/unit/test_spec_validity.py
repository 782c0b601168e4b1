"""What a spec of programs and services can have wrong, told when the project loads."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from backfill_core.errors import InvalidProject
from backfill_core.graph import Declared, Pipeline
from backfill_core.model.calendar import EveryDay
from backfill_core.model.command import Command
from backfill_core.model.expectations import Rows
from backfill_core.model.http import Answer, Http, Poll, Sign
from backfill_core.model.processor import Layer, Processor
from backfill_core.model.runs import Python
from backfill_core.model.table import Table
from backfill_core.model.templates import Secret

URL = "https://l4.test/process-date"
ENDS = {"from": "{date_from}", "to": "{date_to}"}
POLLED = Answer(status="state", means={"running": "running", "done": "done"})


def crunch(_dates: Any, _ctx: Any) -> Any:
    return []


def processor(name: str, run: Any) -> Processor:
    return Processor(name, layer="raw", calendar="daily", writes=Table(f"t.{name}", date="d"), complete_when=Rows(), run=run)


def problems(*specs: Any) -> list[str]:
    values = (Layer("raw"), EveryDay("daily"), *(processor(f"p{place}", spec) for place, spec in enumerate(specs)))
    with pytest.raises(InvalidProject) as caught:
        Pipeline.build([Declared(value, "plugins/box.py", 7) for value in (*values, EveryDay("daily"))], runtime="local")
    # A calendar declared twice is there to be told beside them.
    found = [problem for problem in caught.value.problems if "declared twice" not in problem.what]
    assert all(problem.where == "plugins/box.py:7" for problem in found)
    return [problem.what for problem in found]


@pytest.mark.parametrize(
    "spec",
    [
        Command(["run", "{date}", "{{literal}}"], environment={"KEY": "${KEY}"}, exit_codes={3: "declined", 0: "skipped"}),
        Command(("run", "{dates}", "{date_from:%Y%m%d}"), max_dates=31),
        Command(["run", "--bucket=${BUCKET}", "$HOME", "$${date}"], environment={"KEY": Secret("env:KEY")}),
        Http(URL, identity=True),
        Http("http://127.0.0.1/x", identity="https://l4.test", json={"key": Secret("env:KEY")}),
        Http(URL, headers={"Authorization": f"Bearer {Secret('env:TOKEN')}", "X-Key": Secret("env:KEY")}),
        {"local": Http(URL, json={"d": ["{date}", 1]}, headers={"Authorization": "Bearer ${TOKEN}"})},
        Http("http://127.0.0.1:80/x", headers={"X": "${TOKEN}"}, statuses={404: "declined"}),
        Http("${L4_URL}/x", method="PUT", together="l4", json={"p": "{processors}"}),
        Http(URL, answer=POLLED, poll=Poll("{location}"), statuses={200: "running"}),
        Http(URL, answer=Answer(signs=(Sign("declined", status=503), Sign("locked", at="a", contains="lock")))),
        Http(URL, json=ENDS, max_dates=31, consecutive=True),
        Http(URL, json=ENDS | {"all": "{dates}"}, max_dates=31),
        Http(URL, json=ENDS),
        Http(URL, answer=Answer(signs=(Sign("declined", contains="INCOMPLETE"),))),
        Python(crunch, process=True),
    ],
)
def test_what_is_right(spec: Any) -> None:
    assert problems(spec) == []


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (Command("run {date}"), "runs a command that is no list of texts"),
        (Command([]), "runs a command that is no list of texts"),
        (Command(["run", "{dat}"]), 'names {dat} in the argument "{dat}", which no call has. Did you mean "date"?'),
        (Command(["run", "{date"]), "has a brace without its other"),
        (Command(["run", "{date}"], max_dates=7), "names {date} in the argument"),
        (Command(["run", "{run:x}"]), "Only days take one"),
        (Command(["run", f"--key={Secret('env:KEY')}"]), "shows a secret in the argument"),
        (Command(["run", Secret("env:KEY")]), "shows a secret in the argument"),  # type: ignore[list-item]
        (Command(["run"], environment={"A": "{env:KEY}"}), "names {env:KEY} in A of its environment, which no call has"),
        (Command(["run", "${KEY:-none}"]), "has more than a name in ${KEY:-none}. Write ${KEY}"),
        (Http("http://l4.test/x", headers={"X": Secret("env:TOKEN")}), "would send a secret to http://l4.test"),
        (Http("http://l4.test/x", json={"deep": [Secret("env:TOKEN")]}), "would send a secret to http://l4.test"),
        (Http("http://l4.test/x", identity=True), "would send a secret to http://l4.test"),
        (Http(URL, identity=True, headers={"authorization": "x"}), "sends an identity token and a header Authorization"),
        (Http(URL, identity="my audience"), 'has the audience "my audience", which is none'),
        (Command(["run", "{answer:a}"]), "which no call has"),
        (Command(["run"], exit_codes={300: "done"}), "says what exit code 300 means"),
        (Command(["run"], exit_codes={3: "decline"}), 'has the meaning "decline" for exit code 3. Did you mean "declined"?'),
        (Command(["run"], exit_codes={3: "running"}), 'has the meaning "running"'),
        (Http("ftp://x/y"), "does not begin with https:// or http://"),
        (Http("/x"), "does not begin with https:// or http://"),
        (Http("https://me:pw@l4.test/x"), "it has a user in it"),
        (Http(URL, method="SEND"), 'has the method "SEND"'),
        (Http("http://l4.test/x", headers={"X": "${TOKEN}"}), "would send a secret to http://l4.test"),
        (Http("http://l4.test/x", headers={"authorization": "Basic x"}), "would send a secret to http://l4.test"),
        (Http("http://l4.test/x", json={"deep": ["${TOKEN}"]}), "would send a secret to http://l4.test"),
        (Http(URL, headers={"a b": "c"}), 'has a header "a b" that cannot be sent'),
        (Http(URL, headers={"a": "c\nd: e"}), 'has a header "a" that cannot be sent'),
        (Http(URL, json={"a": {"b": "{days}"}}), "names {days} in"),
        (Http(URL, together="l4", json={"p": "{processor}"}), "names {processor} in"),
        (Http(URL, json=ENDS, max_dates=31), "is told the first and the last date of a call alone"),
        (Http(URL, statuses={99: "done"}), "says what status 99 means"),
        (Http(URL, statuses={202: "running"}), 'has the meaning "running" for status 202'),
        (Http(URL, answer=Answer(means={"ok": "done"})), "says what values mean, and not where they stand"),
        (Http(URL, answer=Answer(status="s")), 'has no meaning for any value at "s"'),
        (Http(URL, answer=Answer(status="s", means={"ok": "fine"})), 'has the meaning "fine"'),  # type: ignore[dict-item]
        (Http(URL, answer=Answer(signs=(Sign("done"),))), "has a sign that fits every answer"),
        (Http(URL, answer=Answer(signs=(Sign("done", at="x"),))), "that no value fits"),
        (Http(URL, answer=POLLED, poll=Poll(f"{URL}/{{jobb}}")), "names {jobb} in the address of its poll"),
        (Http(URL, answer=POLLED, poll=Poll(URL, every=0)), "polls in no time"),
        (Http(URL, poll=Poll(URL)), "polls, and no answer says when to stop"),
        (Python(lambda _dates, _ctx: [], process=True), "which finds a function by its name"),
    ],
)
def test_what_is_wrong(spec: Any, told: str) -> None:
    (problem,) = problems(spec)
    assert problem.startswith('processor "p0" ')
    assert told in problem


def test_those_that_go_together_are_called_one_way() -> None:
    one = Http(URL, together="l4", known_as="One")
    assert problems(one, Http(URL, together="l4", known_as="Two", seconds=3)) == []
    command = Command(["x"], together="l4")
    assert problems(one, command, replace(command, seconds=3)) == []
    (problem,) = problems(command, replace(command, in_order=True))
    assert problem.startswith('processor "p0" goes together with "p1" ("l4"), which is called another way')
    (problem,) = problems(one, Http(URL, together="l4", method="PUT"))
    assert problem.startswith('processor "p0" goes together with "p1" ("l4"), which is called another way')


def test_those_that_go_together_have_one_dataset_where_it_is_named() -> None:
    one = Http(URL, together="l4", json={"into": "{dataset}"})
    assert problems(one, one) == []
    other = replace(processor("p1", one), writes=Table("elsewhere.p1", date="d"))
    values = (Layer("raw"), EveryDay("daily"), processor("p0", one), other)
    with pytest.raises(InvalidProject, match=r'"p0" names \{dataset\}, and goes together with "p1", whose table is in elsewhere'):
        Pipeline.build([Declared(value, "plugins/box.py", 7) for value in values], runtime="local")
