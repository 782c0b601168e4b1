"""What a call leaves beside the tables: the log of its units, and for a while the files that it gives."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from backfill_core.ports import Call
from backfill_core.replies import CUT

#: What stands in the place of a secret.
MASK = "***"
#: Shorter texts are no secrets, and would be found in every line.
_SHORTEST = 4
#: Bytes of a log's end in which the last line is looked for.
_TAIL = 16_384


class CallFolders:
    """Folders below a project's state: ``logs/RUN/BATCH.log``, and ``out/RUN/BATCH`` while a call is under way."""

    def __init__(self, state: Path) -> None:
        self.state = state

    def log(self, call: Call) -> Path:
        """The file of a call's log, in a folder that is there. Raises OSError."""
        folder = self.state / "logs" / (call.occasion.run or "no-run")
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{call.batch.number}.log"

    @contextmanager
    def out(self, call: Call) -> Iterator[Path]:
        """An empty folder for the files that a call gives, taken away afterwards. Raises OSError."""
        folder = self.state / "out" / (call.occasion.run or "no-run") / str(call.batch.number)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            for empty in (folder.parent, folder.parent.parent):
                try:
                    empty.rmdir()
                except OSError:  # another call's files are in it
                    break


def masked(text: str, secrets: Collection[str]) -> str:
    """The text without the secrets in it, nor the beginning of one that was cut off."""
    forms = _forms(secrets)
    for form in forms:
        text = text.replace(form, MASK)
    if CUT in text and forms:
        *cut, rest = text.split(CUT)
        text = CUT.join([*(_without_beginning(part, forms) for part in cut), rest])
    return text


def _without_beginning(text: str, forms: Collection[str]) -> str:
    """The text without the beginning of a secret that it ends with."""
    longest = max((_overlap(text, form) for form in forms), default=0)
    return text[: len(text) - longest] + MASK if longest else text


def _overlap(text: str, form: str) -> int:
    """How many signs of a secret's beginning a text ends with."""
    return next((size for size in range(min(len(form), len(text)), _SHORTEST - 1, -1) if text.endswith(form[:size])), 0)


def mask_file(path: Path, secrets: Collection[str]) -> None:
    """Takes the secrets out of a file; one that holds none is left alone."""
    forms = [form.encode() for form in _forms(secrets)]
    if not forms:
        return
    held = path.read_bytes()
    clean = held
    for form in forms:
        clean = clean.replace(form, MASK.encode())
    if clean != held:
        path.write_bytes(clean)


def _forms(secrets: Collection[str]) -> list[str]:
    """The secrets as they stand in texts, in JSON and in addresses, the longest first."""
    long = [secret for secret in secrets if len(secret) >= _SHORTEST]
    forms = {form for secret in long for form in (secret, *_in_json(secret), quote(secret, safe=""))}
    return sorted(forms, key=lambda form: (-len(form), form))


def _in_json(secret: str) -> tuple[str, str]:
    return json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]


def tail(path: Path) -> bytes:
    """The end of a file; nothing of one that is not there."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
            return file.read()
    except FileNotFoundError:
        return b""
