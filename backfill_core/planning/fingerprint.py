"""What tells one declared graph from another."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from backfill_core.dates import DateSet
from backfill_core.graph import Pipeline


def graph_fingerprint(pipeline: Pipeline, waived: Mapping[str, DateSet]) -> str:
    """Changes with anything declared that a plan rests on, and with the dates waived; not with how units are run."""
    parts = [repr((layer.name, layer.after, layer.gates)) for layer in pipeline.layers]
    for name, processor in pipeline.processors.items():
        parts.append(
            repr(
                (
                    name,
                    processor.layer,
                    processor.calendar,
                    processor.writes,
                    processor.needs,
                    processor.complete_when,
                    processor.rules,
                    processor.warmup,
                    processor.rerun,
                    *processor.also,
                )
            )
        )
    parts += [repr(calendar) for _, calendar in sorted(pipeline.calendars.items())]
    parts += [repr((name, dates.to_json())) for name, dates in sorted(waived.items()) if dates]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
