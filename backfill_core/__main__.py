"""``python -m backfill_core``."""

from backfill_core.cli import main

main()
