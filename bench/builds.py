"""Builds: dbt's whole run against the same SQL run raw, and one day's changes against a forced full build."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import duckdb
from psycopg2 import sql

from bench.company import Company
from bench.measuring import Measurement, Settings, Took, middle, say, timed
from bench.server import LOGINS, PASSWORD, Server
from infra.logins import make_login
from infra.migrate import HEAD, migrate
from ingestion.destination.target import Target
from ingestion.environment import variables
from ingestion.project import PROJECT_ROOT
from warehouse import dbt, ledger
from warehouse.build.build import Request, build
from warehouse.build.inputs import project_fingerprint
from warehouse.build.parsed import parsed, published_models
from warehouse.database import Database, open_database
from warehouse.publish.publish import exchange_files, exchange_schemas
from warehouse.publish.schemas import next_schemas
from warehouse.results import Outcome
from warehouse.runs.runs import Run, prepare_runs

DATABASE, TEMPLATE = "bench_warehouse", "bench_template"
BUILD_WORK_MEM = "256MB"
THREADS = int(os.environ.get("DBT_THREADS", "2"))
DAG_AT_MOST = 1.15
DAY_AT_MOST = {"duckdb": 0.15, "postgres": 0.20}
BEFORE_AT_MOST = {"duckdb": 0.12, "postgres": 0.15}
FORCED = "forced full build"
# The first finds its generation one day behind, every later one two. Of the first ones dbt makes something that it has
# not sent yet, so the last ones are as in life.
DAYS, IN_LIFE = 5, 2
NOT_TESTED = ["--exclude-resource-types", "test", "unit_test"]
WITHOUT_TESTS = {"DBT_EXCLUDE_RESOURCE_TYPES": "test unit_test"}


@dataclass(frozen=True)
class Built:
    """One run of a build: what it took in all, the seconds in which relations were made, and those of each node."""

    took: Took
    building: float
    nodes: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        slowest = sorted(self.nodes.items(), key=lambda each: -each[1])[:8]
        listed = ", ".join(f"{name} {seconds:.1f}" for name, seconds in slowest)
        took = f"{self.took.seconds:.1f} s, CPU {self.took.cpu:.1f} s, at most {self.took.memory / 1e9:.1f} GB"
        return f"{took}; building {self.building:.1f} s; {listed}"


@dataclass(frozen=True)
class Statement:
    """One node of dbt's run as SQL: what it waits for, what is run, and for a seed the file that is copied."""

    waits_for: tuple[str, ...]
    sql: tuple[str, ...]
    relation: str = ""
    seed: Path | None = None


class Warehouse:
    """A company's warehouse on one engine, built as `warehouse.build` builds, but for ingestion and tests."""

    def __init__(
        self, engine: str, settings: Settings, server: Server | None, company: Company, database: str = DATABASE
    ):
        self.engine, self.database = engine, database
        self.server = server if engine == "postgres" else None
        self.company = company
        self.folder = settings.folder / f"warehouse_{engine}"
        self.target = Target("dev" if engine == "duckdb" else "prod", engine, self.folder)
        self.template = settings.folder / "template.duckdb"

    def prepare(self, keep: bool = True) -> None:
        """Write the company's first two years into raw; `keep` that to start from again and again."""
        self._clear()
        if self.server:
            self.server.fresh(self.database)
            # A build sorts whole facts and has two sessions; readers are many, and keep the server's.
            self.server.run(self.database, f"alter role postgres set work_mem = '{BUILD_WORK_MEM}'")
            # Readers come as in production: by logins, with row security on.
            migrate(HEAD, lambda line: None)
            for login, (role, tenants) in LOGINS.items():
                make_login(login, role, tenants, PASSWORD, lambda line: None)
        self.company.write(self.target, 0)
        prepare_runs(self.target)
        self.settle()
        if not keep:
            self._begin()
        elif self.server:
            self.server.fresh(TEMPLATE)
            self._replace(TEMPLATE, self.database)
        else:
            shutil.copyfile(self.target.build_file, self.template)

    def restore(self) -> None:
        """Back to raw alone. dlt's own folder goes too; it finds its state again in raw."""
        self._clear()
        if self.server:
            self._replace(self.database, TEMPLATE)
        else:
            shutil.copyfile(self.template, self.target.build_file)
        self._begin()

    def _begin(self) -> None:
        with open_database(self.target) as database:
            ledger.ensure_tables(database)
            ledger.register_loads(database)
        self.settle()

    def _clear(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    def _replace(self, database: str, template: str) -> None:
        assert self.server is not None
        names = sql.Identifier(database), sql.Identifier(template)
        self.server.run("postgres", sql.SQL("drop database if exists {} with (force)").format(names[0]))
        self.server.run("postgres", sql.SQL("create database {} template {} strategy file_copy").format(*names))

    def settle(self) -> None:
        """What the server does by itself in the hours between two builds; the disk gets what it is owed."""
        if self.server:
            self.server.run(self.database, "vacuum analyze")
            self.server.run(self.database, "checkpoint")
        os.sync()

    def build(self, full: bool = False) -> Built:
        """Build and publish one generation as `make build` does, without loading and tests.

        dbt's parse comes before the clock starts. As in life, what dbt has sent for a day is sent for the next ones
        without it.
        """
        with variables(WITHOUT_TESTS):
            parsed(self.target, project_fingerprint(self.target))
            run = Run("build", self.target.name)
            took = timed(lambda: build(self.target, Request(full=full, ingest=False), lambda line: None, run))
        nodes = {each["node_name"]: each["seconds"] for each in run.results}
        return Built(took, run.seconds["building"], nodes)

    def start_up(self) -> Took:
        """The fixed cost of a dbt command: the least of three runs that build one small table, less that table."""
        manifest = dbt.parse(self.target)
        command = ["build", "--select", "dim_sources", *NOT_TESTED]
        found = []
        for _ in range(3):
            outcomes = list[Outcome]()
            took = timed(lambda: outcomes.append(dbt.run(self.target, command, manifest)))  # noqa: B023
            table = sum(outcomes[0].seconds.values())
            found.append(took.less(Took(table, table)))
        return min(found, key=lambda each: each.seconds)

    def statements(self) -> dict[str, Statement]:
        """What dbt ran in the full build that has just ended, by node.

        dbt writes each node's SQL into its folder `run`; here it goes straight into the relation's own name. The
        indexes that dbt made follow their table (Postgres). A seed is its file, copied into a table of its columns.
        """
        manifest = dbt.parse(self.target)
        nodes = {k: n for k, n in manifest.nodes.items() if n.resource_type in ("model", "snapshot", "seed")}
        ran = Path(dbt.target_path(self.target)) / "run" / "granary"
        found = {}
        with open_database(self.target) as database:
            for key, node in nodes.items():
                waits_for = tuple(each for each in getattr(node.depends_on, "nodes", ()) if each in nodes)
                if node.resource_type == "seed":
                    columns = _columns(database, node.schema, node.name)
                    create = f"create table {node.relation_name} ({columns})"
                    found[key] = Statement((), (create,), node.relation_name, PROJECT_ROOT / node.original_file_path)
                else:
                    path = ran / node.original_file_path  # a folder where a file may hold several, as of snapshots
                    path = path / f"{node.name}.sql" if path.is_dir() else path
                    written = path.read_text(encoding="utf-8").replace("__dbt_tmp", "")
                    found[key] = Statement(waits_for, (written, *self._indexes(database, node)))
        return found

    def _indexes(self, database: Database, node: Any) -> list[str]:
        """The indexes of a relation of the generation that was just published, as they were made in the next one."""
        if not self.server:
            return []
        published = str(node.schema).removesuffix("__next")
        rows = database.run(
            "select indexdef from pg_indexes where schemaname = %s and tablename = %s", [published, node.name]
        )
        return [str(row[0]).replace(f" ON {published}.", f' ON "{node.schema}".') for row in rows]

    def run_raw(self, statements: dict[str, Statement]) -> Took:
        """What the same statements take, in the order of the graph, with as many threads as dbt has."""
        self.restore()
        manifest = dbt.parse(self.target)
        schemas = {(node.database, node.schema) for key, node in manifest.nodes.items() if key in statements}
        with open_database(self.target) as database:
            for catalog, schema in sorted(schemas):
                database.run(f'create schema if not exists "{catalog}"."{schema}"' if not self.server else
                             f'create schema if not exists "{schema}"')  # fmt: skip
        return timed(lambda: self._in_order(statements))

    def _in_order(self, statements: dict[str, Statement]) -> None:
        order = TopologicalSorter({key: each.waits_for for key, each in statements.items()})
        order.prepare()
        connections = [self._connect()]
        if self.server:
            connections += [self._connect() for _ in range(THREADS - 1)]
        else:
            connections += [connections[0].cursor() for _ in range(THREADS - 1)]
        free = list(connections)
        running: dict[Future[None], tuple[str, Any]] = {}
        waiting: list[str] = []
        with ThreadPoolExecutor(THREADS) as pool:
            while order.is_active():
                waiting += order.get_ready()
                while waiting and free:
                    key, connection = waiting.pop(0), free.pop()
                    running[pool.submit(self._run, connection, statements[key])] = key, connection
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    key, connection = running.pop(future)
                    future.result()
                    free.append(connection)
                    order.done(key)
        for connection in reversed(connections):
            connection.close()

    def _connect(self) -> Any:
        if self.server:
            return self.server.connect(self.database)
        connection = duckdb.connect(str(self.target.build_file))
        connection.execute("load icu")
        connection.execute("set timezone = 'UTC'")
        connection.execute(f"attach '{self.target.next_file}' as marts")
        return connection

    def _run(self, connection: Any, statement: Statement) -> None:
        if not self.server:
            for each in statement.sql:
                connection.execute(each)
            if statement.seed:
                connection.execute(f"copy {statement.relation} from '{statement.seed}' (format csv, header)")
            return
        with closing(connection.cursor()) as cursor:
            for each in statement.sql:
                cursor.execute(each)
            if statement.seed:
                with statement.seed.open("rb") as file:
                    cursor.copy_expert(f"copy {statement.relation} from stdin (format csv, header)", file)


def _columns(database: Database, schema: str, table: str) -> str:
    rows = database.run(
        "select column_name, data_type from information_schema.columns where table_schema = %s and table_name = %s "
        "order by ordinal_position",
        [schema, table],
    )
    return ", ".join(f'"{name}" {kind}' for name, kind in rows)


def full_before(settings: Settings, engine: str) -> float:
    """The seconds of a full build by the code of another commit, start-up apart, as its own bench measures them.

    It has a folder and a server of its own, and this environment's packages.
    """
    folder = settings.folder / "before"
    shutil.rmtree(folder, ignore_errors=True)
    say(f"{engine}: full builds of {settings.before}")
    subprocess.run(["git", "clone", "-q", str(PROJECT_ROOT), str(folder / "code")], check=True)
    subprocess.run(["git", "checkout", "-q", settings.before], cwd=folder / "code", check=True)
    command = [sys.executable, "-m", "bench", "day", "--engine", engine, "--scale", str(settings.scale)]
    # In as many runs as that bench makes: not every commit's can be told.
    subprocess.run([*command, "--folder", str(folder / "bench")], cwd=folder / "code", check=True,
                   stdout=subprocess.DEVNULL)  # fmt: skip
    results = json.loads((folder / "bench" / "results.json").read_text(encoding="utf-8"))
    shutil.rmtree(folder)
    [full] = {each["reference"] for each in results["measurements"] if each["against"] == FORCED}
    return float(full)


def measure(warehouse: Warehouse, runs: int, parts: set[str], before: float | None = None) -> Iterator[Measurement]:
    """Build a company's warehouse: in full, raw, and day by day. What the last build published stays.

    Args:
        warehouse: the company's.
        runs: of full builds.
        parts: of `build`, `day` and `queries`.
        before: the seconds of another commit's full build, to hold a day to.

    Yields:
        Each measurement as it is made, so that a build that fails takes none of those before it away.

    Raises:
        BuildError: a build fails.
    """
    engine = warehouse.engine
    say(f"{engine}: writing raw")
    if not parts & {"build", "day"}:
        warehouse.prepare(keep=False)
        say(f"  {engine}: full build: {warehouse.build(full=True)}")
        warehouse.settle()
        return
    warehouse.prepare()
    fresh: list[Built] = []
    raw: list[Took] = []
    statements: dict[str, Statement] = {}
    for number in range(runs if "build" in parts else 1):
        if number == 1:
            # Between the two, since the builds after the last of these go on from what it leaves.
            raw = [warehouse.run_raw(statements) for _ in range(runs)]
            say(f"  {engine}: the same SQL raw: {', '.join(f'{each.seconds:.1f}' for each in raw)} s")
        warehouse.restore()
        fresh.append(warehouse.build(full=True))
        say(f"  {engine}: full build: {fresh[-1]}")
        if number == 0:
            statements = warehouse.statements()
    start_up = warehouse.start_up()
    say(f"  {engine}: start-up {start_up.seconds:.1f} s")
    yield Measurement("build", engine, "dbt's fixed start-up, parse apart", start_up.seconds, cpu=start_up.cpu)
    if raw:
        took, reference = middle([each.took for each in fresh]), middle(raw).seconds
        seconds = statistics.median(each.building for each in fresh) - start_up.seconds
        yield Measurement(
            "build", engine, "dbt's full build", seconds, f"the same SQL, {THREADS} threads", reference,
            seconds / reference, at_most=DAG_AT_MOST, cpu=took.cpu,
            note=f"at most {took.memory / 1e9:.1f} GB of memory" if engine == "duckdb" else "",
        )  # fmt: skip
    if "day" in parts:
        warehouse.settle()
        second = warehouse.build(full=True)
        say(f"  {engine}: full build of the other generation: {second}")
        full = statistics.mean([fresh[-1].took.seconds, second.took.seconds]) - start_up.seconds
        yield from _days(warehouse, full, before)
        yield _exchange(warehouse)


def _exchange(warehouse: Warehouse) -> Measurement:
    """What publishing itself costs, however large the tables: two exchanges, so that all is as it was."""
    target = warehouse.target

    def copies() -> None:
        with open_database(target) as database:
            listed = published_models(dbt.parse(target), target)
            for name, (schema, _) in listed.items():
                database.run(
                    f"create temporary table copy_of_{name} as select * from {database.published(schema, name)}"
                )

    def exchange() -> None:
        if warehouse.server:
            with open_database(target) as database:
                schemas = next_schemas(database)
            exchange_schemas(target, schemas)
        else:
            exchange_files(target)

    took = middle([timed(exchange), timed(exchange)])
    reference = timed(copies).seconds
    return Measurement(
        "day", warehouse.engine, "the exchange of generations", took.seconds, "a copy of every published table",
        reference, took.seconds / reference, cpu=took.cpu,
    )  # fmt: skip


def _days(warehouse: Warehouse, full: float, before: float | None) -> Iterator[Measurement]:
    engine = warehouse.engine
    days = []
    for number in range(1, DAYS + 1):
        warehouse.company.write(warehouse.target, number)
        warehouse.settle()
        built = warehouse.build()
        behind = min(number, 2)
        what = f"day {number}: a generation {behind} day{'s' if behind > 1 else ''} behind"
        say(f"  {engine}: {what}: {built}")
        took = built.took
        yield Measurement("day", engine, what, took.seconds, FORCED, full, took.seconds / full, cpu=took.cpu)
        days.append(took)
    what, steady = "a day as in life, two behind: the mean", days[-IN_LIFE:]
    mean, cpu = statistics.mean(each.seconds for each in steady), statistics.mean(each.cpu for each in steady)
    yield Measurement("day", engine, what, mean, FORCED, full, mean / full, at_most=DAY_AT_MOST[engine], cpu=cpu)
    if before:
        yield Measurement(
            "day", engine, what, mean, "full build of the commit before", before, mean / before,
            at_most=BEFORE_AT_MOST[engine], cpu=cpu,
        )  # fmt: skip
