"""OpenLineage: what a run loaded, made and tested, told to whoever collects the lineage of all tools.

The client reads its own settings: `OPENLINEAGE_URL`, `OPENLINEAGE__TRANSPORT__TYPE=file`, `openlineage.yml` and so on.
A run is a job with its states; each load, each relation and the tests of each relation are jobs of their own, whose
parent is the run. docs/lineage.md has the names. Specification: https://openlineage.io/docs/spec/object-model
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import (
    DatasetFacet,
    column_lineage_dataset,
    data_quality_assertions_dataset,
    documentation_dataset,
    error_message_run,
    job_type_job,
    output_statistics_output_dataset,
    ownership_dataset,
    parent_run,
    schema_dataset,
    sql_job,
)

from ingestion.destination.lake import BUILD, MARTS
from ingestion.destination.target import Target, libpq
from ingestion.domains import domains
from warehouse.database import open_database
from warehouse.results import FAILED, Outcome
from warehouse.runs.columns import known_columns, made_of
from warehouse.runs.runs import Run as Recorded
from warehouse.runs.runs import Say

PRODUCER = "urn:granary"
_STATES = {"failed": RunState.FAIL, "interrupted": RunState.ABORT}


@dataclass(frozen=True)
class Work:
    """A job of the run and what came of it; `seconds` before now it began.

    code: the SQL that did it, where that is known.
    """

    name: str
    kind: str
    state: RunState = RunState.COMPLETE
    seconds: float = 0.0
    inputs: Sequence[InputDataset] = ()
    outputs: Sequence[OutputDataset] = ()
    code: str | None = None


@dataclass
class Teller:
    """Tells of one run. What goes wrong is said once, ends the telling, and never fails the run."""

    target: Target
    run: Recorded
    say: Say
    _client: OpenLineageClient = field(default_factory=lambda: _client())
    _is_over: bool = False

    def __post_init__(self) -> None:
        self._namespace = os.environ.get("OPENLINEAGE_NAMESPACE", "granary")
        self._id = str(uuid.UUID(self.run.run_id))
        # A domain's models lie in a folder that is called as the domain.
        self._owners = {each.name: each.owner for each in domains(self.target.project)}

    def begun(self) -> None:
        """The run began."""
        self._tell(lambda: [self._of_run(RunState.START, self.run.started_at)])

    def built(self, manifest: Any, outcome: Outcome) -> None:
        """What the run has made and tested, and what came of it."""
        self._tell(lambda: [event for work in self._works(manifest, outcome) for event in self._events(work)])

    def ended(self) -> None:
        """The run ended, as its record says, which has what was loaded, too."""
        self._tell(lambda: [event for work in self._loads() for event in self._events(work)])
        state = _STATES.get(self.run.outcome, RunState.COMPLETE)
        self._tell(lambda: [self._of_run(state, self.run.finished_at or self.run.started_at)])
        with suppress(Exception):
            self._client.close(5.0)

    def _tell(self, events: Callable[[], Iterable[RunEvent]]) -> None:
        if self._is_over:
            return
        try:
            for event in events():
                self._client.emit(event)
        except Exception as error:
            self._is_over = True
            self.say(f"note: lineage is not told any more in this run: {(str(error).splitlines() or [repr(error)])[0]}")

    def _of_run(self, state: RunState, at: str) -> RunEvent:
        message = self.run.message
        facets = {"errorMessage": error_message_run.ErrorMessageRunFacet(message, "PYTHON")} if message else {}
        job = Job(self._namespace, self.run.command, {"jobType": _type("COMMAND")})
        moment = datetime.fromisoformat(at).replace(tzinfo=UTC).isoformat()
        return RunEvent(eventTime=moment, producer=PRODUCER, run=Run(self._id, {**facets}), job=job, eventType=state)

    def _events(self, work: Work) -> list[RunEvent]:
        """The beginning and the end of a job."""
        end = datetime.now(UTC)
        parent = parent_run.ParentRunFacet(parent_run.Run(self._id), parent_run.Job(self._namespace, self.run.command))
        run = Run(str(uuid.uuid5(uuid.UUID(self._id), work.name)), {"parent": parent})
        sql = {"sql": sql_job.SQLJobFacet(query=work.code, dialect=self.target.engine)} if work.code else {}
        job = Job(self._namespace, work.name, {"jobType": _type(work.kind), **sql})
        return [
            RunEvent(
                eventTime=at.isoformat(), producer=PRODUCER, run=run, job=job, eventType=state,
                inputs=list(work.inputs), outputs=list(work.outputs),
            )
            for state, at in ((RunState.START, end - timedelta(seconds=work.seconds)), (work.state, end))
        ]  # fmt: skip

    def _loads(self) -> Iterable[Work]:
        for each in self.run.loaded:
            rows = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(rowCount=each.loaded)
            name = self._name(f"raw_{each.source}", each.resource)
            output = OutputDataset(*name, outputFacets={"outputStatistics": rows})
            yield Work(f"load.{each.source}.{each.resource}", "LOAD", outputs=[output])

    def _works(self, manifest: Any, outcome: Outcome) -> Iterable[Work]:
        lineages = self._column_lineages(manifest, [node for node, status in outcome.nodes if status == "success"])
        tests: dict[str, list[tuple[Any, str]]] = {}
        for node, status in outcome.nodes:
            seconds, parents = outcome.seconds.get(node.name, 0.0), getattr(node.depends_on, "nodes", [])
            if node.resource_type == "test":
                # A test of macros alone is of no dataset.
                if tested := getattr(node, "attached_node", None) or next(iter(parents), None):
                    tests.setdefault(str(tested), []).append((node, status))
            elif node.resource_type in ("model", "snapshot", "seed"):
                yield Work(
                    node.unique_id, str(node.resource_type).upper(), _state([status]), seconds,
                    [InputDataset(*self._name_of(_named(manifest, each))) for each in parents],
                    [OutputDataset(*self._name_of(node), facets=self._described(node, lineages.get(node.unique_id)))],
                    getattr(node, "compiled_code", None),
                )  # fmt: skip
        for tested, found in tests.items():
            seconds = sum(outcome.seconds.get(node.name, 0.0) for node, _ in found)
            facets = {"dataQualityAssertions": _asserted(found)}
            inputs = [InputDataset(*self._name_of(_named(manifest, tested)), inputFacets={**facets})]
            yield Work(f"{tested}.tests", "TEST", _state([status for _, status in found]), seconds, inputs)

    def _column_lineages(
        self, manifest: Any, nodes: Iterable[Any]
    ) -> dict[str, column_lineage_dataset.ColumnLineageDatasetFacet]:
        """Of the relations that dbt compiled in this run: of others nothing has changed since they were told of."""
        compiled = [node for node in nodes if getattr(node, "compiled_code", None)]
        if not compiled:
            return {}
        with open_database(self.target) as database:
            known = known_columns(database)
        nodes_of = {
            tuple(part.strip('"') for part in str(node.relation_name).split(".")): node
            for node in (*manifest.nodes.values(), *manifest.sources.values())
        }
        found = {}
        for node in compiled:
            fields = {}
            for column, origins in made_of(node.compiled_code, self.target.engine, known).items():
                inputs = [
                    column_lineage_dataset.InputField(*self._name_of(nodes_of[table]), name)
                    for table, name in origins
                    if table in nodes_of
                ]
                if inputs:
                    fields[column] = column_lineage_dataset.Fields(inputFields=inputs)
            if fields:
                found[str(node.unique_id)] = column_lineage_dataset.ColumnLineageDatasetFacet(fields=fields)
        return found

    def _described(self, node: Any, lineage: DatasetFacet | None) -> dict[str, DatasetFacet]:
        """What is written of a relation: its columns, what it is, whose it is, what its columns are made of."""
        columns = [
            schema_dataset.SchemaDatasetFacetFields(each.name, each.data_type, each.description or None)
            for each in node.columns.values()
        ]
        owner = (node.config.meta or {}).get("owner") or self._owners.get(node.fqn[-2])
        found: dict[str, DatasetFacet | None] = {
            "schema": schema_dataset.SchemaDatasetFacet(fields=columns) if columns else None,
            "documentation": documentation_dataset.DocumentationDatasetFacet(node.description)
            if node.description
            else None,
            "ownership": ownership_dataset.OwnershipDatasetFacet([ownership_dataset.Owner(owner)]) if owner else None,
            "columnLineage": lineage,
        }
        return {name: facet for name, facet in found.items() if facet}

    def _name_of(self, node: Any) -> tuple[str, str]:
        """A node's namespace and name, as readers know it."""
        schema = str(node.schema).removeprefix(self.target.prefix).removesuffix("__next")
        is_published = node.resource_type == "model" and bool((node.config.meta or {}).get("published"))
        return self._name(schema, str(getattr(node, "identifier", "") or node.alias), is_published=is_published)

    def _name(self, schema: str, table: str, *, is_published: bool = False) -> tuple[str, str]:
        """A table's namespace and name. OpenLineage has none for DuckDB: here a file is a namespace."""
        schema = self.target.schema(schema)
        if self.target.engine == "postgres":
            server = libpq()
            host = "localhost" if server["host"].startswith("/") else server["host"]
            return f"postgres://{host}:{server['port']}", f"{server['dbname']}.{schema}.{table}"
        if self.target.lake:
            return f"ducklake:{self.target.lake.data_path(MARTS if is_published else BUILD)}", f"{schema}.{table}"
        file = self.target.published_file if is_published else self.target.build_file
        return f"duckdb://{file.resolve()}", f"{schema}.{table}"


def _client() -> OpenLineageClient:
    """A client with the settings that there are.

    It writes some of them into the environment, where the next one would find them instead of new ones. Without any it
    would print events.

    Raises:
        ValueError: no setting says where events go to.
    """
    before = dict(os.environ)
    try:
        client = OpenLineageClient()
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]
    if client.transport.kind == "console" and (client.config.transport or {}).get("type") != "console":
        raise ValueError("none says where events go to: OPENLINEAGE_URL, or a transport in openlineage.yml")
    return client


def _type(kind: str) -> job_type_job.JobTypeJobFacet:
    return job_type_job.JobTypeJobFacet("BATCH", "GRANARY", kind)


def _state(statuses: Sequence[str]) -> RunState:
    if any(each in FAILED for each in statuses):
        return RunState.FAIL
    return RunState.ABORT if "skipped" in statuses else RunState.COMPLETE


def _named(manifest: Any, unique_id: str) -> Any:
    return manifest.nodes.get(unique_id) or manifest.sources[unique_id]


def _asserted(found: Sequence[tuple[Any, str]]) -> data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet:
    assertions = [
        data_quality_assertions_dataset.Assertion(
            assertion=test.test_metadata.name if getattr(test, "test_metadata", None) else "custom_sql",
            success=status == "pass", column=getattr(test, "column_name", None), name=test.name,
            severity=str(test.config.severity).lower(),
        )
        for test, status in found
    ]  # fmt: skip
    return data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet(assertions=assertions)
