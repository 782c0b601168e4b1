"""A value that a spec names and does not hold."""

from __future__ import annotations

import re
from dataclasses import dataclass

_SOURCE = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)")


@dataclass(frozen=True, slots=True)
class Secret:
    """The value of an environment variable, ``Secret("env:KEY")``, where a text may stand in headers, body and environment.

    It is looked up when a call leaves, shows nowhere, and leaves only over https or to this machine. In a longer text it is
    written ``f"Bearer {Secret('env:KEY')}"``. Raises ValueError for anything that names no variable.
    """

    source: str

    def __post_init__(self) -> None:
        if not isinstance(self.source, str) or not _SOURCE.fullmatch(self.source):
            # Without the text: somebody may have put the secret itself there.
            raise ValueError('a Secret names no variable. Write Secret("env:NAME"), and the value into the environment or .env')

    @property
    def variable(self) -> str:
        """The variable that holds it."""
        return self.source.removeprefix("env:")

    def __str__(self) -> str:
        """What stands for it in a template."""
        return f"{{secret:{self.variable}}}"
