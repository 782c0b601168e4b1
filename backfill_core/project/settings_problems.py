"""What is wrong with a setting, in words that say how to mend it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from backfill_core.errors import did_you_mean
from backfill_core.project.settings import GcpTarget, InFlight, LocalTarget, Settings

#: How a setting that has to be there is written.
_WRITTEN = {
    "targets": "[tool.backfill.targets.local] ([targets.local] in backfill.toml), and below it runtime, warehouse and landing",
    "landing": 'landing = "landing", the folder of the files that others leave',
    "warehouse": 'warehouse = "warehouse.duckdb", the file that holds the tables',
    "project": 'project = "my-project", the Google Cloud project that holds the tables',
}
#: What a value of the wrong kind is not, by how the library's word for it begins.
_KINDS = {
    "string": 'no text. Write it in quotes: "…"',
    "path": 'no path. Write it in quotes: "…"',
    "url": 'no address. Write it as "https://host:port"',
    "int": "no whole number",
    "float": "no number",
    "date": "no day. Write it as 2024-10-01",
    "dict": "no table. Write {table}",
    "model": "no table. Write {table}",
}


#: What a number must be, and where the library says it.
_BOUNDS = {
    "greater_than_equal": ("the least is", "ge"),
    "less_than_equal": ("the most is", "le"),
    "greater_than": ("it must be over", "gt"),
}
#: What may stand in a table.
_WITHIN = {
    "services": "l4 = 5",
    "processors": "revenue = 2",
    "tables": '"shop.orders" = 1',
    "in_flight": "services = { l4 = 5 }",
}


def setting_path(loc: tuple[int | str, ...]) -> tuple[str, ...]:
    """The path of a setting, without the word for the kind of target that the library puts into it."""
    parts = tuple(map(str, loc))
    return parts[:2] + parts[3:] if parts[0] == "targets" and len(parts) > 2 else parts


def settings_problem(error: Any) -> str:
    """One of the library's findings, as a person who wrote the settings may read it."""
    path, kind, given = setting_path(error["loc"]), error["type"], error["input"]
    where = ".".join(path)
    if kind == "extra_forbidden":
        return _unknown(error["loc"], path)
    if path == ("target",) and kind == "string_type":
        return 'target is the name of one, where none is typed. Did you mean "targets"?'
    if kind == "union_tag_invalid":
        tag = str(error["ctx"]["tag"])
        return f'{where}.runtime: no runtime "{tag}".{did_you_mean(tag, ("local", "gcp"))} Runtimes: local, gcp'
    if kind == "union_tag_not_found":
        return f"{where}.runtime: say which, local or gcp"
    if kind == "missing":
        return f"{where} is not set. Write {_WRITTEN.get(path[-1], path[-1])}"
    if wrong := _KINDS.get(kind.partition("_")[0]):
        return f"{where}: {_shown(given)} is {wrong.format(table=_table(path))}"
    if kind in _BOUNDS:
        words, bound = _BOUNDS[kind]
        return f"{where}: {_shown(given)} will not do: {words} {error['ctx'][bound]}"
    return f"{where}: {error['msg'].removeprefix('Value error, ')}"


def _unknown(loc: tuple[int | str, ...], path: tuple[str, ...]) -> str:
    """A setting that there is not."""
    model: type[BaseModel] = Settings
    if path[0] == "targets":
        model = InFlight if "in_flight" in path else GcpTarget if loc[2] == "gcp" else LocalTarget
    known = [field.alias or name for name, field in model.model_fields.items()]
    others: dict[type[BaseModel], tuple[type[BaseModel], str]]
    others = {GcpTarget: (LocalTarget, "local"), LocalTarget: (GcpTarget, "gcp")}
    where = ".".join(path)
    if model in others and path[-1] in others[model][0].model_fields:
        return f'no setting "{where}": it is one of runtime {others[model][1]}'
    hint = did_you_mean(path[-1], known) or f" There are: {', '.join(known)}"
    return f'no setting "{where}".{hint}'


def _table(path: tuple[str, ...]) -> str:
    """How a table of settings is written."""
    if path == ("targets",):
        return _WRITTEN["targets"]
    if path[:-1] == ("targets",):
        return f"[tool.backfill.{'.'.join(path)}] ([{'.'.join(path)}] in backfill.toml), and settings below it"
    return f"{path[-1]} = {{ {_WITHIN.get(path[-1], 'name = …')} }}"


def _shown(given: object) -> str:
    """A value as it stands in a TOML file, or nearly so."""
    text = {True: "true", False: "false"}.get(given, str(given)) if isinstance(given, bool) else str(given)
    return f'"{text}"' if isinstance(given, str) else text
