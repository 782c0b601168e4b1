"""Starts `bqemulator`, in an environment of its own, without the extensions that it would load from the network."""

from bqemulator.cli import main
from bqemulator.storage.engine import DuckDBEngine

for name in ("_load_spatial", "_load_format_extensions"):
    assert hasattr(DuckDBEngine, name), f"bqemulator has no {name} any more"
    setattr(DuckDBEngine, name, lambda _engine: None)

main()
