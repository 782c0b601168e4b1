"""What a declaration holds that is not of the kind its fields are for."""

from __future__ import annotations

from typing import Any

import pytest

from backfill_core import CalendarKeys, EveryDay, Gate, Layer, Need, NotNull, Processor, Python, Rows, Sql, Table, UniqueKey, days
from backfill_core.errors import InvalidProject
from backfill_core.graph import Declared, Pipeline
from backfill_core.model.shapes import shape_problems

GOOD: dict[str, Any] = {
    "layer": "raw",
    "calendar": "daily",
    "writes": Table("shop.orders", date="day", key=("shop",)),
    "complete_when": Rows(),
    "run": {"local": Sql("orders.sql")},
}


def work(dates: Any) -> None:
    """Takes too little."""


def full_work(dates: Any, ctx: Any) -> None:
    """Takes what it is given."""


def orders(**changed: Any) -> Processor:
    return Processor("orders", **(GOOD | changed))


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"needs": (Need("a"), Need(("b", "c"), share=1)), "warmup": days(3)},
        {"rules": [UniqueKey(), NotNull("shop", share=0.5)], "complete_when": (Rows(), CalendarKeys("shop"))},
        {"run": Python(full_work, max_dates=3)},
        {"rerun": "appends"},
    ],
)
def test_what_is_right_is_not_told(changed: dict[str, Any]) -> None:
    assert list(shape_problems(orders(**changed))) == []


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"needs": Need("a")}, 'has needs=Need("a"). Put it in brackets, with a comma behind: needs=(Need("a"),)'),
        ({"needs": ("a",)}, 'has needs=("a",). It holds "a", which is not Need(…)'),
        ({"rules": UniqueKey()}, "has rules=UniqueKey(). Put it in brackets, with a comma behind: rules=(UniqueKey(),)"),
        ({"rules": (UniqueKey,)}, "has rules=(UniqueKey,). It holds UniqueKey: call it, UniqueKey()"),
        ({"complete_when": Rows}, "has complete_when=Rows. Call it: Rows(…)"),
        ({"complete_when": Rows(at_least="1")}, 'has complete_when=Rows(…), which has at_least="1". It takes a whole number'),  # type: ignore[arg-type]
        ({"rules": (NotNull("a", share="x"),)}, 'has rules=NotNull("a"), which has share="x". It takes a number'),  # type: ignore[arg-type]
        ({"writes": "shop.orders"}, 'has writes="shop.orders". It takes Table(…) or Files(…)'),
        (
            {"writes": Table("shop.orders", date="day", key="shop")},  # type: ignore[arg-type]
            'has writes=Table("shop.orders"), which has key="shop". Put it in brackets, with a comma behind: key=("shop",)',
        ),
        ({"run": work}, "has run=work. It takes SOURCE or a spec such as Python(…) or Sql(…) or a dict, {…: …}"),
        ({"run": Python("work")}, 'has run=Python("work"), which has function="work". It takes a function'),  # type: ignore[arg-type]
        ({"rerun": "append"}, 'has rerun="append". It takes "replaces" or "merges" or "appends"'),
    ],
)
def test_what_is_of_another_kind_is_told_with_its_mend(changed: dict[str, Any], told: str) -> None:
    assert list(shape_problems(orders(**changed))) == [told]


def test_layers_too() -> None:
    layer = Layer("raw", aliases="L1", measured_by="orders", gates=(Gate("g", measure="orders", key="shop", at_least=True),))  # type: ignore[arg-type]
    assert list(shape_problems(layer)) == [
        'has aliases="L1". Put it in brackets, with a comma behind: aliases=("L1",)',
        'has measured_by="orders". It takes (a text, a text)',
        'has gates=Gate("g"), which has at_least=True. It takes a number',
    ]


def test_a_graph_tells_them_and_nothing_that_follows_from_them() -> None:
    reader = Processor("sums", **(GOOD | {"writes": Table("shop.sums", date="day"), "needs": (Need("orders"),)}))
    function = Processor("more", **(GOOD | {"writes": Table("shop.more", date="day"), "run": Python(work)}))  # type: ignore[arg-type]
    values = (Layer("raw"), EveryDay("daily"), orders(rules=UniqueKey()), reader, function)
    with pytest.raises(InvalidProject) as caught:
        Pipeline.build([Declared(value, "plugins/all.py", place) for place, value in enumerate(values)], "local")
    first, second = map(str, caught.value.problems)
    assert first.startswith('plugins/all.py:2: processor "orders" has rules=UniqueKey(). Put it in brackets, with a comma')
    assert second.startswith(
        'plugins/all.py:4: processor "more" runs work(dates), which is called with two values. Write def work('
    )
