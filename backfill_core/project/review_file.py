"""Writing the file of reviews: entries are added at its end, and what it holds is kept byte for byte."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from backfill_core.dates import DateSet
from backfill_core.errors import BadReviews
from backfill_core.graph import Pipeline
from backfill_core.model.reviews import Accepted, Waiver
from backfill_core.project.reviews import FILE, parse_reviews


def append_reviews(root: Path, entries: Iterable[Waiver | Accepted], pipeline: Pipeline) -> None:
    """Adds entries to the project's file, making it where there is none. It is replaced whole. Raises BadReviews."""
    path = (root / FILE).resolve()
    texts = [_waiver_text(entry) if isinstance(entry, Waiver) else _accepted_text(entry) for entry in entries]
    try:
        old = path.read_bytes() if path.exists() else b""
        kept = old if not old or old.endswith(b"\n") else old + b"\n"
        new = kept + ("\n" if kept else "").encode() + "\n".join(texts).encode()
        parse_reviews(new.decode("utf-8"), pipeline)
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
        _replace(path, new, mode)
    except OSError as error:
        raise BadReviews(where=FILE, problem=f"it cannot be written: {error.strerror}") from error


def who_asks(root: Path) -> str:
    """Who is typing: as git knows them, else the user's name."""
    name, email = (_git(root, key) for key in ("user.name", "user.email"))
    if name and email:
        return f"{name} <{email}>"
    return name or email or os.environ.get("USER") or "unknown"


def _git(root: Path, key: str) -> str:
    try:
        came = subprocess.run(["git", "config", key], cwd=root, capture_output=True, text=True, check=False)
    except OSError:  # no git here: the user's name will do
        return ""
    return came.stdout.strip()


def _replace(path: Path, body: bytes, mode: int) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _waiver_text(waiver: Waiver) -> str:
    lines = ["[[waiver]]", f"processor = {_text(waiver.processor)}", f"dates = {_list(waiver.dates)}"]
    lines += [f"reason = {_text(waiver.reason)}", f"who = {_text(waiver.who)}", f"when = {waiver.when}"]
    return "\n".join([*lines, *([f"until = {waiver.until}"] if waiver.until else []), ""])


def _accepted_text(accepted: Accepted) -> str:
    days: dict[int, list[int]] = {}
    for day, newest in sorted(accepted.newest.items()):
        days.setdefault(newest, []).append(day)
    parts = [
        f"    {{dates = {_list(DateSet.from_numbers(numbers))}, newest = {_instant(newest)}}},"
        for newest, numbers in days.items()
    ]
    lines = ["[[accepted]]", f"processor = {_text(accepted.processor)}", f"target = {_text(accepted.target)}"]
    lines += [f"reason = {_text(accepted.reason)}", f"who = {_text(accepted.who)}", f"when = {accepted.when}"]
    return "\n".join([*lines, "inputs = [", *parts, "]", ""])


def _list(dates: DateSet) -> str:
    return "[" + ", ".join(_text(part) for part in dates.to_json()) + "]"


def _text(value: str) -> str:
    """A TOML basic string."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(f"\\u{ord(c):04X}" if ord(c) < 32 or ord(c) == 127 else c for c in escaped) + '"'


def _instant(micros: int) -> str:
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")
