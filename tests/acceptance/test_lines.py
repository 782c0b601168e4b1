"""What is wrong with a declaration is told with its file and line, however its name is written."""

from __future__ import annotations

from pathlib import Path

from projects import backfill
from shop import make_shop

MORE = """from backfill_core import SOURCE, Files, Processor, Rows

KEYWORDS = {"layer": "raw", "complete_when": Rows(), "run": SOURCE}
FIRST = Processor("twice", calendar="daily", writes=Files("a/{date}"), **KEYWORDS)

SECOND = Processor("twice", calendar="daily", writes=Files("b/{date}"), **KEYWORDS)
FEEDS = [Processor(f"feed_{n}", calendar="dayly", writes=Files(f"{n}/{{date}}"), **KEYWORDS) for n in range(2)]
NAMED = ["late"]
LATE = Processor(
    name="late", calendar="dayly", writes=Files("c/{date}"), **KEYWORDS)
"""


def test_lines_of_declarations(tmp_path: Path) -> None:
    project = make_shop(tmp_path)
    (project / "plugins" / "more.py").write_text(MORE, encoding="utf-8")
    told = backfill(project, "graph").stderr
    assert 'plugins/more.py:6: processor "twice" is declared twice, first in plugins/more.py:4. Rename one' in told
    for name, line in {"feed_0": 7, "feed_1": 7, "late": 9}.items():
        assert f'plugins/more.py:{line}: processor "{name}" names calendar "dayly"' in told
