"""The main job on the sample: makes it, shows what is missing, fills it, and compares what remains with the answers.

Exits 0 when the answers are met exactly, else 1. The sample is left filled, to look at.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from make_sample import make_sample

PROJECT = Path(__file__).parents[2]
ANSWERS = Path(__file__).with_name("answers.json")


def backfill(project: Path, *words: str) -> int:
    """Runs the command as a user would, and shows it."""
    print(f"\n$ backfill {' '.join(words)}", flush=True)
    return subprocess.run([sys.executable, "-m", "backfill_core", *words], cwd=project, check=False).returncode


def asked(project: Path, *words: str) -> Any:
    """What a command answers as JSON."""
    command = [sys.executable, "-m", "backfill_core", *words, "--format", "json"]
    return json.loads(subprocess.run(command, cwd=project, check=True, capture_output=True, text=True).stdout)


def found(project: Path) -> dict[str, Any]:
    """What the sample shows now, in the shape of the answers."""
    coverage, plan = asked(project, "coverage"), asked(project, "plan")
    lacking = ("missing", "partial", "invalid", "stale")
    return {
        "layers": {layer["layer"]: [layer["now"], layer["wanted"], layer["ceiling"]] for layer in coverage["layers"]},
        "dates": {
            processor["name"]: states
            for processor in coverage["processors"]
            if (states := {state: processor["states"][state] for state in lacking if processor["states"][state]})
        },
        "surplus": {p["name"]: p["surplus"] for p in coverage["processors"] if p["surplus"]},
        "units": plan["totals"],
    }


def differences(title: str, answers: Any, now: Any) -> list[str]:
    """Every place at which what was found is not the answer."""
    if isinstance(answers, dict) and isinstance(now, dict):
        names = sorted(answers.keys() | now.keys())
        return [line for name in names for line in differences(f"{title} {name}", answers.get(name), now.get(name))]
    return [] if answers == now else [f"{title}: the answer is {answers}, found {now}"]


def main(project: Path = PROJECT) -> int:
    started = time.monotonic()
    make_sample(project, 7)
    return show(project, started)


def show(project: Path, started: float) -> int:
    """Runs the main job on a sample that is made, and returns 0 where the answers are met, else 1."""
    answers = json.loads(ANSWERS.read_text(encoding="utf-8"))
    wrong = differences("before", answers["before"], found(project))
    backfill(project, "plan", "--from", "2024-10-01")
    code = backfill(project, "execute", "--yes", "--allow-blocked")
    wrong += [] if code == 0 else [f"execute exited {code}"]
    wrong += differences("after", answers["after"], found(project))
    backfill(project, "coverage")
    print()
    for line in wrong:
        print(f"wrong: {line}")
    verdict = "what remains is not what the answers say" if wrong else "what remains is exactly what the answers say"
    print(f"demo: {verdict}. {time.monotonic() - started:.0f} s. next: backfill report")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
