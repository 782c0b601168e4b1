"""Work that any program does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field

from backfill_core.model.meanings import Means
from backfill_core.model.runs import Called
from backfill_core.model.templates import Secret

#: What an exit code means where a spec says nothing; every other one: failed for good. 75 is EX_TEMPFAIL of sysexits.
EXIT_CODES: Mapping[int, Means] = {0: "done", 75: "transient"}


@dataclass(frozen=True, slots=True)
class Command(Called):
    """A program, run in the project's folder. No shell reads its arguments; names in braces are filled in from the call.

    Parquet files that it leaves in the folder ``$BACKFILL_OUT`` replace the rows of its dates, in one transaction, if the
    warehouse is an embedded one. Where it leaves none, the table is looked at afterwards. Where it fails, its last line of output
    says why. It is killed, with all that it started, when its time is up or the run is stopped; so is what it leaves running.
    """

    arguments: Sequence[str]
    _: KW_ONLY
    #: Variables beside those that backfill itself runs with.
    environment: Mapping[str, str | Secret] = field(default_factory=dict)
    #: What its exit codes mean, beside 0 (done) and 75 (transient); any other one: failed.
    exit_codes: Mapping[int, Means] = field(default_factory=dict)

    def meaning(self, code: int) -> Means:
        """What an exit code means."""
        return self.exit_codes.get(code) or EXIT_CODES.get(code, "failed")
