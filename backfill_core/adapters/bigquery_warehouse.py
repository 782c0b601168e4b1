"""The warehouse of a target on Google Cloud: tables in BigQuery."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from backfill_core.adapters.bigquery_client import Account
from backfill_core.adapters.bigquery_errors import reading_failure, reason_of, words_of
from backfill_core.adapters.bigquery_jobs import Jobs, cloud_error
from backfill_core.coverage import DateFacts, KeysFound
from backfill_core.dates import day_number
from backfill_core.errors import BackfillError, CloudError, Failure, UnreadableTable
from backfill_core.model.table import Table
from backfill_core.queries.answers import facts_of_rows, put_pair
from backfill_core.queries.comparison_sql import keys_found
from backfill_core.queries.dialect import BIGQUERY, Names, Query
from backfill_core.queries.named import named, offending_query
from backfill_core.queries.packed import packed, unpacked
from backfill_core.queries.question import NamingQuestion, OffendingQuery, TableQuestion
from backfill_core.queries.sql import PairQuery, QuestionSql, naming_query

#: Pseudo-columns of a table that is partitioned by when its rows came. Either of them prunes.
INGESTION = {"_PARTITIONDATE": "DATE", "_PARTITIONTIME": "TIMESTAMP"}
#: Seconds for which a dataset's tables are taken to be as they were seen.
_HOLDS = 60.0
COLUMNS = "SELECT table_name, column_name, data_type, is_partitioning_column FROM {}.INFORMATION_SCHEMA.COLUMNS"


@dataclass(frozen=True, slots=True)
class Asked:
    """One statement of a question, and what its rows tell: the table's own facts, a pair, or a rule."""

    question: TableQuestion
    query: Query
    about: PairQuery | OffendingQuery | None


class BigQueryWarehouse:
    """Tables in BigQuery. Each statement is a labelled job that may read so much and take so long, and no more.

    May be used from several threads.
    """

    def __init__(
        self,
        account: Account,
        names: Names,
        root: Path,
        *,
        layers: Mapping[str, str] | None = None,
        within: float = 300.0,
        side_by_side: int = 8,
    ) -> None:
        self.account = account
        self.names = Names(datasets=names.datasets, prefix=names.prefix, project=account.project)
        self.root = root
        #: The layer of each processor, for labels.
        self.layers = layers or {}
        #: Seconds a question may take.
        self.within = within
        self.side_by_side = side_by_side
        self.jobs = Jobs(account)
        self.asked = 0
        #: Who asks what, in a list that somebody who wants to see it puts here; None keeps nothing.
        self.statements: list[tuple[str, Query]] | None = None
        #: The column that each table is partitioned by, as last seen; a table without one, or not seen, is not in it.
        self.partitions: dict[str, str] = {}
        self._counting = threading.Lock()
        #: Each dataset's tables as last seen, and when: a run looks often, and makes none.
        self._seen: dict[str, tuple[float, dict[str, dict[str, str]]]] = {}
        self._rules: dict[tuple[str, str], str] = {}

    def schema(self, datasets: Iterable[str]) -> Mapping[str, Mapping[str, str]]:
        wanted = sorted(set(datasets))
        with ThreadPoolExecutor(self.side_by_side, thread_name_prefix="schema") as pool:
            found: dict[str, dict[str, str]] = {}
            for tables in pool.map(self._schema_of, wanted):
                found |= tables
        return found

    def observe(self, question: TableQuestion) -> DateFacts:
        (facts,) = self.observe_all([question])
        return facts

    def observe_all(self, questions: Sequence[TableQuestion]) -> list[DateFacts]:
        sent = [each for question in questions for each in self._sent(question)]
        with ThreadPoolExecutor(self.side_by_side, thread_name_prefix="observe") as pool:
            answers = [answer for found in pool.map(self._answers, sent) for answer in found]
        return [self.facts_from(question, answers) for question in questions]

    def differing_keys(self, question: NamingQuestion, limit: int) -> KeysFound:
        query = naming_query(question, limit, BIGQUERY, self.names, self._rule)
        return keys_found(self._answer(Asked(question.counted, query, None)))

    def check(self, text: str, tables: Mapping[str, Table]) -> None:
        """Raises ValueError for GoogleSQL that BigQuery will not run, as a dry run tells."""
        from datetime import date

        query = Query(named(text, tables, BIGQUERY, self.names), dict.fromkeys(("date_from", "date_to"), date(2000, 1, 1)))
        try:
            self.jobs.dry_run(query, within=self.within)
        except Exception as error:
            if reason_of(error) in ("invalidQuery", "invalid", "notFound"):
                raise ValueError(words_of(error)) from error
            raise cloud_error(error, self.account) from error

    def ask(self, asker: str, layer: str, query: Query, parts: Sequence[Query] = ()) -> list[tuple[Any, ...]]:
        """The rows of a statement, which is counted, and kept where somebody wants to see it; one that is packed by its parts.

        Raises what Google raises.
        """
        with self._counting:
            self.asked += 1
            if self.statements is not None:
                self.statements += [(asker, each) for each in parts or (query,)]
        return self.jobs.rows(query, layer=layer, within=self.within)

    def prunes(self, table: Table) -> bool:
        """Whether a filter on the table's date column keeps partitions from being read."""
        column = self.partitions.get(table.name)
        return column is not None and (column == table.date or {column, table.date} <= INGESTION.keys())

    def path(self, table: Table) -> str:
        """Where a table is in its project: ``dataset.table``, as BigQuery has it."""
        return ".".join(self.names.parts(table)[1:])

    def table_label(self, table: Table) -> str:
        """What jobs that write a table are labelled with."""
        return self.jobs.labels.of("", backfill_table=self.path(table))["backfill_table"]

    def close(self) -> None:
        self.jobs.close()

    def _schema_of(self, dataset: str) -> dict[str, dict[str, str]]:
        at, tables = self._seen.get(dataset, (0.0, {}))
        if not at or monotonic() - at > _HOLDS:
            tables = self._asked_schema(dataset)
            self._seen[dataset] = monotonic(), tables
        return tables

    def _asked_schema(self, dataset: str) -> dict[str, dict[str, str]]:
        path = self.names.parts(f"{dataset}.x")[:-1]
        try:
            rows = self.ask("schema", "none", Query(COLUMNS.format(BIGQUERY.name(*path)), {}))
        except Exception as error:
            if reason_of(error) == "notFound" and not self._elsewhere(dataset, path[-1]):
                return {}
            raise error if isinstance(error, BackfillError) else cloud_error(error, self.account) from error
        found: dict[str, dict[str, str]] = {}
        for table, column, kind, partitioning in rows:
            name = f"{dataset}.{table}"
            found.setdefault(name, {})[column] = kind
            if column in INGESTION:
                found[name] |= INGESTION
            if partitioning == "YES":
                self.partitions[name] = column
        return found

    def _elsewhere(self, dataset: str, path: str) -> bool:
        """Whether a dataset that was not found is there after all. Raises CloudError when it is in another location."""
        try:
            timeout = self.account.request_timeout
            found = self.jobs.persisting(
                lambda: self.jobs.client().get_dataset(path, retry=None, timeout=timeout), within=self.within
            )
        except Exception as error:
            if reason_of(error) == "notFound":
                return False
            raise cloud_error(error, self.account) from error
        if found.location and found.location.lower() != self.account.location.lower():
            problem = f'dataset {dataset} is in {found.location}, not {self.account.location}. Set location = "{found.location}"'
            raise CloudError(project=self.account.project, problem=problem)
        return True

    def statements_of(self, question: TableQuestion) -> list[Asked]:
        sql = QuestionSql(question, BIGQUERY, self.names)
        found = [] if question.absent else [Asked(question, sql.facts(), None)]
        found += [Asked(question, pair.query, pair) for pair in sql.pairs()]
        for rule in question.offending:
            found.append(Asked(question, offending_query(self._rule(rule, question), question, BIGQUERY, self.names), rule))
        return found

    def _sent(self, question: TableQuestion) -> list[list[Asked]]:
        """A question's statements as they are sent: all in one, so that a look at a table is one query.

        Where partitions are not pruned each goes alone, for it may be too dear.
        """
        statements = self.statements_of(question)
        together = all(self.prunes(table) for table in question.tables())
        return [statements] if together and statements else [[each] for each in statements]

    def _answers(self, sent: list[Asked]) -> list[tuple[Asked, list[tuple[Any, ...]]]]:
        if len(sent) == 1:
            return [(sent[0], self._answer(sent[0]))]
        parts = [each.query for each in sent]
        rows = unpacked(self._answer(Asked(sent[0].question, packed(parts), None), parts))
        return [(each, rows.get(place, [])) for place, each in enumerate(sent)]

    def _answer(self, asked: Asked, parts: Sequence[Query] = ()) -> list[tuple[Any, ...]]:
        question = asked.question
        try:
            self._refuse_dear(question, asked.query)
            return self.ask(question.processor, self.layers.get(question.processor, ""), asked.query, parts)
        except BackfillError:
            raise
        except TimeoutError as error:
            problem = f"no answer within {self.within:g} s, so it was given up"
            raise UnreadableTable(table=question.table.name, problem=problem, failure=Failure.TRANSIENT) from error
        except Exception as error:  # whatever Google says, it is this table that cannot be read
            failure = reading_failure(error)
            raise UnreadableTable(table=question.table.name, problem=words_of(error), failure=failure) from error

    def _refuse_dear(self, question: TableQuestion, query: Query) -> None:
        """Raises UnreadableTable, before anything is read, where partitions cannot be pruned and too much would be read."""
        whole = [table for table in question.tables() if not self.prunes(table)]
        if not whole:
            return
        reads = self.jobs.dry_run(query, within=self.within).total_bytes_processed or 0
        if reads > self.account.maximum_bytes_billed:
            table = whole[0]
            problem = (
                f"a question would read {reads / 1e9:,.1f} GB of it, for it is not partitioned by {table.date}, and "
                f"maximum_bytes_billed is {self.account.maximum_bytes_billed / 1e9:,.1f} GB. Nothing was asked"
            )
            raise UnreadableTable(table=table.name, problem=problem)

    def facts_from(self, question: TableQuestion, answers: Iterable[tuple[Asked, list[tuple[Any, ...]]]]) -> DateFacts:
        mine = [(asked.about, rows) for asked, rows in answers if asked.question is question]
        facts = facts_of_rows(question, next((rows for about, rows in mine if about is None), ()))
        for about, rows in mine:
            if isinstance(about, PairQuery):
                for place, day, *counts in rows:
                    put_pair(facts, about.parts[place], day_number(day), counts)
            elif isinstance(about, OffendingQuery):
                facts.checks[about.name] = {day_number(day): (0, count) for day, count in rows}  # type: ignore[index]
        return facts

    def _rule(self, rule: OffendingQuery, question: TableQuestion) -> str:
        key = (question.processor, rule.file)
        if key not in self._rules:
            try:
                self._rules[key] = named((self.root / rule.file).read_text(encoding="utf-8"), rule.tables, BIGQUERY, self.names)
            except (OSError, ValueError) as error:
                raise UnreadableTable(table=question.table.name, problem=f"rule {rule.name} ({rule.file}): {error}") from error
        return self._rules[key]
