"""What the contract tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from stores import BigQueryStore


@pytest.fixture(scope="session", autouse=True)
def _server() -> Iterator[None]:
    """Ends the server that BigQuery's tests share, once all are done."""
    yield
    BigQueryStore.end()
