"""The kit for authors of plugins and adapters: the ports answered in memory, to try a project's parts on plain rows."""

from backfill_core.testing.memory_journal import MemoryJournal
from backfill_core.testing.memory_runner import MemoryRunner
from backfill_core.testing.memory_warehouse import MemoryWarehouse

__all__ = ["MemoryJournal", "MemoryRunner", "MemoryWarehouse"]
