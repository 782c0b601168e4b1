"""Services have to be told where a target keeps its tables: they would write where they always do."""

from __future__ import annotations

from collections.abc import Iterator

from backfill_core.errors import InvalidProject, Problem
from backfill_core.graph import Pipeline
from backfill_core.model.http import Http
from backfill_core.model.processor import Processor
from backfill_core.model.templates import fields, texts
from backfill_core.project.settings import Target


def check_services_told(pipeline: Pipeline, name: str, target: Target) -> None:
    """Raises InvalidProject for every service that a target with a prefix, or with datasets of other names, would not reach.

    Programs are left alone: rows that they hand in as files go where the target keeps its tables.
    """
    problems = [
        Problem(pipeline.declared[processor.name].where, f'processor "{processor.name}" {what}')
        for processor in pipeline.processors.values()
        if isinstance(spec := processor.spec_for(pipeline.runtime), Http)
        for what in _untold(processor, spec, name, target)
    ]
    if problems:
        raise InvalidProject(problems)


def _untold(processor: Processor, spec: Http, name: str, target: Target) -> Iterator[str]:
    told = {field.name for text in texts([spec.url, spec.headers, spec.json]) for field in fields(text)}
    held = sorted({table.name.partition(".")[0] for table in processor.tables.values()})
    renamed = [dataset for dataset in held if target.datasets.get(dataset, dataset) != dataset]
    if renamed and "dataset" not in told:
        yield (
            f"calls a service that is not told where its tables are: on target {name} dataset {renamed[0]} is "
            f'{target.prefix}{target.datasets[renamed[0]]}. Pass it on: json={{…, "dataset": "{{dataset}}"}}'
        )
    elif target.prefix and not told & {"prefix", "dataset"}:
        where = f"{held[0]} itself" if held else "the tables themselves"
        yield (
            f'calls a service that is not told of the prefix "{target.prefix}" of target {name}: it would write into {where}. '
            'Pass it on: json={…, "dataset_prefix": "{prefix}"}'
        )
