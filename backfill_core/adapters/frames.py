"""Frames of pandas, polars and pyarrow, known without any of them: they are no dependency."""

from __future__ import annotations

from typing import Any


def is_frame(value: Any) -> bool:
    """Whether a value is a frame: it gives its columns by Arrow's C interface, or is one of pandas (older ones do not)."""
    # The method is how libraries agree on it: https://arrow.apache.org/docs/format/CDataInterface/PyCapsuleInterface.html
    if hasattr(value, "__arrow_c_stream__"):
        return True
    kind = type(value)
    return kind.__module__.partition(".")[0] == "pandas" and kind.__name__ == "DataFrame"
