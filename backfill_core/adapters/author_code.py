"""Where in a project's own code something went wrong."""

from __future__ import annotations

#: Private package under which a project's files are loaded: they import each other relatively, and clash with no other's.
PACKAGE = "_backfill_project"
#: What is a slip in the code, and says little without its place; whatever else is raised was meant to be read.
_SLIPS = (ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, NameError, TypeError)


def failure_words(error: BaseException) -> str:
    """What went wrong, in a line; of a slip in the project's own code with its kind, file and line."""
    said = str(error).strip().split("\n", 1)[0]
    trace, place = error.__traceback__ if isinstance(error, _SLIPS) else None, ""
    while trace is not None:
        module = str(trace.tb_frame.f_globals.get("__name__"))
        if module.startswith(f"{PACKAGE}."):
            place = f"{module.removeprefix(f'{PACKAGE}.').replace('.', '/')}.py:{trace.tb_lineno}"
        trace = trace.tb_next
    kind = type(error).__name__
    return f"{said or 'it failed'} ({kind}, {place})" if place else said or kind
