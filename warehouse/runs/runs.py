"""What each run did: kept in a file while it goes on, loaded by dlt when it ends, readable whatever became of it.

A run writes `<warehouse>/runs/<run id>.json` when it begins and again when it ends; the end then loads all files that
are there into `raw_runs`, by the same way as any source. A file that a killed run left says `running`, and is loaded
by the next run's end as `killed`: who holds the build's lock knows that no other run goes on.

Readers have the views of models/ops/runs/ in the schema `runs`, beside the generations, so that a build that failed is
seen too. DuckDB's readers have them as a file, `runs.duckdb`, which is replaced as a whole.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingestion.contract.contracts import OWN_SOURCE
from ingestion.contract.reading import read_contract
from ingestion.destination.lake import BUILD
from ingestion.destination.lock import LockError, build_lock
from ingestion.destination.target import Target, attach_part
from ingestion.encryption import open_file
from ingestion.load.extracts import Extract, Loaded, Reader
from ingestion.load.loading import load
from ingestion.signals import interrupt_of
from ingestion.sql import literal
from warehouse import dbt
from warehouse.database import Database, open_database
from warehouse.runs.telling import teller

if TYPE_CHECKING:
    from warehouse.runs.openlineage import Teller

Say = Callable[[str], None]
VIEWS = (
    "ops_runs",
    "ops_run_steps",
    "ops_test_results",
    "ops_relations",
    "ops_deliveries",
    "ops_extracts",
    "ops_column_profiles",
    "ops_anomalies",
)

_RUN = (
    "struct(run_id varchar, command varchar, target varchar, started_at varchar, finished_at varchar, "
    "outcome varchar, message varchar, generation_number bigint, source_count bigint, "
    " loaded_count bigint, known_count bigint, rejected_count bigint)"
)
_RESULTS = (
    "struct(node_name varchar, resource_type varchar, status varchar, seconds double, failure_count bigint, "
    "tested_name varchar, column_name varchar, quality_dimension varchar, severity varchar, source_ids varchar)[]"
)
_ROW_COUNTS = "struct(relation_name varchar, row_count bigint)[]"
_STEPS = "struct(step_name varchar, seconds double)[]"
_DELIVERIES = (
    "struct(delivery_id varchar, subscription_name varchar, login_name varchar, recipient_number bigint, "
    "message_kind varchar, period_grain varchar, period_first_date varchar, period_last_date varchar, "
    "reported_generation_number bigint, status varchar, status_detail varchar, byte_count bigint, "
    "recorded_at varchar)[]"
)
_LARGEST_BYTES = 100_000_000


@dataclass
class Run:
    """One run of a command that changes the warehouse. Seconds are of the clock on the wall."""

    command: str
    target: str
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    started_at: str = field(default_factory=lambda: _now())
    finished_at: str | None = None
    outcome: str = "running"
    message: str | None = None
    generation_number: int | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    loaded: list[Loaded] = field(default_factory=list)
    results: list[dict[str, Any]] = field(default_factory=list)
    row_counts: dict[str, int] = field(default_factory=dict)
    deliveries: list[dict[str, Any]] = field(default_factory=list)
    # Who tells others of it (warehouse/runs/telling.py).
    teller: Teller | None = field(default=None, repr=False)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measure a step: loading (of which each source's own steps are parts), building or publishing."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - started

    def record(self) -> dict[str, Any]:
        """The run as its file has it."""
        inner = ("seconds", "loaded", "results", "row_counts", "deliveries", "teller")
        plain = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in inner}
        for name in ("source_count", "loaded", "known", "rejected"):
            plain[f"{name.removesuffix('_count')}_count"] = sum(int(getattr(each, name)) for each in self.loaded)
        counts = [{"relation_name": name, "row_count": number} for name, number in self.row_counts.items()]
        steps = [{"step_name": name, "seconds": round(seconds, 3)} for name, seconds in self.seconds.items()]
        return {
            "run": plain, "results": self.results, "row_counts": counts, "steps": steps, "deliveries": self.deliveries
        }  # fmt: skip


def _now() -> str:
    return datetime.now(UTC).replace(tzinfo=None).isoformat(sep=" ")


@contextmanager
def recorded(target: Target, run: Run, say: Say, *, collects: bool = True) -> Iterator[Run]:
    """Keep the record of a run, which ends as its `outcome` says, or failed where it raises.

    The build's lock must be held. What goes wrong with the record itself is said, and never fails the run. It is loaded
    when the run ends, unless `collects` is false: then it waits in its file for who does.
    """
    _kept(target, run, say)
    run.teller = teller(target, run, say)
    if run.teller:
        run.teller.begun()
    try:
        yield run
    except BaseException as error:
        run.outcome = "interrupted" if interrupt_of(error) else "failed"
        run.message = run.message or (str(error).splitlines() or [repr(error)])[0][:600]
        raise
    finally:
        run.finished_at = _now()
        if run.teller:
            run.teller.ended()
        if _kept(target, run, say) and collects:
            collect(target, say)


def record_beside(target: Target, run: Run, say: Say) -> None:
    """Keep the record of a run that was at work beside builds, held no lock, and is over.

    It is loaded at once where no build is at work, else when that one ends.
    """
    run.finished_at = _now()
    if not _kept(target, run, say):
        return
    try:
        with build_lock(target):
            collect(target, say)
    except LockError as error:
        say(f"note: this run's record waits in {_folder(target)} for the end of the next build: {error}")


def are_waiting(target: Target) -> bool:
    """Whether records of runs wait to be loaded."""
    return any(_folder(target).glob("*.json"))


def _folder(target: Target) -> Path:
    return target.folder / "runs"


def _kept(target: Target, run: Run, say: Say) -> bool:
    path = _folder(target) / f"{run.run_id}.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".writing")
        partial.write_text(json.dumps(run.record()), encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        say(f"note: this run is not recorded: {path} can't be written ({error.strerror})")
        return False
    return True


def are_prepared(database: Database) -> bool:
    """Whether `raw_runs` has all its tables, which models read."""
    wanted = {table.name for table in read_contract(OWN_SOURCE, database.target.project).tables}
    return wanted <= database.tables(database.target.schema(f"raw_{OWN_SOURCE}"))


def prepare_runs(target: Target) -> None:
    """Make the tables of `raw_runs` where they are missing, so that dbt can build what reads them."""
    load(read_contract(OWN_SOURCE, target.project), None, target)


def collect(target: Target, say: Say) -> None:
    """Load the runs that ended, and show them to readers. The build's lock must be held."""
    try:
        load(read_contract(OWN_SOURCE, target.project), _extracts, target)
        views = _views(target)
        if len(views) < len(VIEWS):
            # Before a first build has got so far. What reads a source that was never loaded has to wait for that.
            dbt.run(target, ["run", "--select", *VIEWS])
            views = _views(target)
        if target.engine == "duckdb":
            _show(target, views)
    except Exception as error:
        say(
            f"note: this run's record could not be loaded: {(str(error).splitlines() or [repr(error)])[0]}; it waits "
            f"in {_folder(target)} and is loaded by the next run"
        )


def _extracts(reader: Reader) -> Generator[Extract, None, None]:
    """The runs of the folder that raw doesn't have yet; their files go once they are loaded."""
    files = sorted(_folder(reader.target).glob("*.json"))
    known = {row[0] for row in reader.connection.execute(f"select run_id from {reader.complete('runs')}").fetchall()}
    new = [file for file in files if file.stem not in known]

    def remove() -> None:
        for file in files:
            file.unlink()

    reader.on_complete.append(remove)
    if not new:
        return
    listed = ", ".join(literal(str(file)) for file in new)
    kinds = {
        "run": _RUN, "results": _RESULTS, "row_counts": _ROW_COUNTS, "steps": _STEPS, "deliveries": _DELIVERIES
    }  # fmt: skip
    columns = "{" + ", ".join(f"{name}: {literal(kind)}" for name, kind in kinds.items()) + "}"
    reader.connection.execute(
        f"create or replace temp table ended as from read_json([{listed}], columns = {columns}, "
        f"maximum_object_size = {_LARGEST_BYTES})"
    )
    outcome = "case when run.outcome = 'running' then 'killed' else run.outcome end as outcome"
    meta = (
        "'U' as _operation, 1 as _revision, "
        "cast(coalesce(run.finished_at, run.started_at) as timestamp) as _effective_at"
    )
    for name, columns, counted in (
        ("runs", f"run.* exclude (outcome), {outcome}", "count(*)"),
        *(
            (name, f"run.run_id, unnest({name}, recursive := true)", f"sum(coalesce(len({name}), 0))")
            for name in ("results", "row_counts", "steps", "deliveries")
        ),
    ):
        count = reader.connection.execute(f"select {counted} from ended").fetchone()
        relation = f"(select {columns}, {meta} from ended)"
        # Most runs deliver nothing, and a table that is handed over empty costs as much as a small one.
        number = int((count or (0,))[0] or 0)
        if number or name != "deliveries":
            yield Extract(reader.contract.table(name), relation, number)


def _views(target: Target) -> list[str]:
    """The views that there are."""
    with open_database(target) as database:
        there = database.tables(target.schema("runs"))
    return [name for name in VIEWS if name in there]


def _show(target: Target, views: list[str]) -> None:
    """DuckDB: put the views, as tables, into the file that readers open."""
    file = target.folder / "runs.duckdb"
    partial = file.with_suffix(".writing")
    partial.unlink(missing_ok=True)
    with open_file(partial) as connection:
        # Under its own name, which the views' definitions give.
        attach_part(connection, target, BUILD, target.build_file.stem, read_only=True)
        for name in views:
            connection.execute(f"create table {name} as from {target.build_file.stem}.runs.{name}")
    partial.replace(file)
