"""Loads: each kind of source through Granary, through plain dlt, and through the engine's own bulk load."""

from __future__ import annotations

import importlib.util
import os
import shutil
import threading
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import dlt
import duckdb

from bench.measuring import Measurement, Settings, Took, median_of, middle, say, timed
from bench.server import Server, environment
from ingestion.contract.contracts import Column, Source, Table
from ingestion.contract.reading import read_contract
from ingestion.destination.target import Target
from ingestion.duck import connect, load_extension
from ingestion.load.extracts import Extract, ExtractFunction, Reader, no_rows
from ingestion.load.loading import load
from ingestion.readers import files, sql
from ingestion.readers.files.layout import layouts

ROWS = 3_000_000
RETAIL_FILES = 30
AT_LEAST = {"duckdb": 0.55, "postgres": 0.6}
FILES_AT_LEAST = {"duckdb": 0.4, "postgres": 0.35}
COMPARED_AT_MOST = {"duckdb": 3.0, "postgres": 4.0}
CHUNK = 500_000  # rows that plain dlt takes at once; its default of 1,000 to 50,000 is slower

STATUSES = ("placed", "paid", "shipped", "delivered", "cancelled")
CONTRACT = Source(
    name="bench",
    schema="raw_bench",
    tables=(
        Table(
            source="bench",
            name="lines",
            columns=(
                Column("id", "bigint", required=True),
                Column("customer_id", "text", required=True),
                Column("description", "text"),
                Column("status", "text", required=True, accepted_values=STATUSES),
                Column("quantity", "bigint", required=True),
                Column("price_amount", "numeric(18,4)", required=True, minimum=0),
                Column("discount_amount", "numeric(18,4)", required=True),
                Column("updated_at", "timestamp", required=True),
            ),
            key=("id",),
            reject_key=("id",),
        ),
    ),
)
LINES = CONTRACT.table("lines")
TYPES = {column.name: column.data_type for column in LINES.columns}
CREATE = f"create table lines ({', '.join(f'{name} {kind}' for name, kind in TYPES.items())})"

# One row in a thousand breaks a rule, in turns one of three; none breaks a type, or the engines' own loads would stop.
DATA = f"""
    select
        i as id,
        case when i % 3000 > 0 then cast(cast(md5(cast(i % 200000 as varchar)) as uuid) as varchar) end as customer_id,
        'item ' || (i * 7919 % 20000) || ' of the catalogue' as description,
        case when i % 3000 = 1000 then 'lost' else {list(STATUSES)}[1 + i % 5] end as status,
        1 + i * 31 % 12 as quantity,
        cast(case when i % 3000 = 2000 then -1 else 1 + i * 7919 % 100000 / 100 end as numeric(18, 4)) as price_amount,
        cast(case when i % 4 = 0 then i % 500 / 100 else 0 end as numeric(18, 4)) as discount_amount,
        timestamp '2024-01-01' + to_seconds(cast(i * 13 as bigint)) as updated_at
    from range(1, {{rows}} + 1) as numbers(i)"""


class Data:
    """The same rows as a CSV file, as files of the retail business, and as tables of SQLite and Postgres."""

    def __init__(self, settings: Settings, server: Server | None):
        self.rows = settings.size(ROWS)
        self.folder = settings.folder / "data"
        self.server = server
        self.csv = self.folder / "lines.csv"
        self.sqlite = self.folder / "lines.sqlite"
        self.retail = self.folder / "retail"

    def make(self, *, only_csv: bool = False) -> None:
        """Write everything anew, or the CSV file alone."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.retail.mkdir(parents=True)
        with closing(connect()) as duck:
            duck.execute(f"create table lines as {DATA.format(rows=self.rows)}")
            duck.execute(f"copy lines to '{self.csv}' (format csv, header)")
            if only_csv:
                return
            load_extension(duck, "sqlite_scanner")
            duck.execute(f"attach '{self.sqlite}' as lite (type sqlite)")
            duck.execute("create table lite.lines as from lines")
            self._retail(duck)
            if self.server:
                self.server.fresh("bench_source")
                load_extension(duck, "postgres_scanner")
                duck.execute(
                    f"attach 'host={self.server.host} user=postgres dbname=bench_source' as pg (type postgres)"
                )
                duck.execute(f"create table pg.{CREATE.removeprefix('create table ')}")
                duck.execute("insert into pg.lines from lines")
        if self.server:
            self.server.run("bench_source", "vacuum analyze lines")

    def _retail(self, duck: duckdb.DuckDBPyConnection) -> None:
        per_file = -(-self.rows // RETAIL_FILES)
        for number in range(RETAIL_FILES):
            duck.execute(f"""
                copy (
                    select 500000 + id // 20 as "InvoiceNo", 'P' || (id * 7919 % 5000) as "StockCode",
                        description as "Description", quantity as "Quantity",
                        strftime(date '2024-01-01' + {number}, '%Y-%m-%d 12:00:00') as "InvoiceDate",
                        price_amount as "UnitPrice", (10000 + id % 4000) || '.0' as "CustomerID",
                        'United Kingdom' as "Country"
                    from lines
                    where id > {number * per_file} and id <= {(number + 1) * per_file}
                ) to '{self.retail}/sales_{_day(number)}.csv' (format csv, header)""")


def _day(number: int) -> str:
    return f"2024-01-{number + 1:02}"


def measure(settings: Settings, server: Server | None) -> list[Measurement]:
    """Load each kind of source into each engine."""
    data = Data(settings, server)
    say(f"loads: making {data.rows:,} rows as CSV, retail files, SQLite{' and Postgres' if server else ''}")
    data.make()
    return [line for engine in settings.engines for line in _into(engine, settings, data)]


def csv_load(settings: Settings) -> Took:
    """What the load of a CSV file into DuckDB takes at these sizes."""
    data, warehouse = Data(settings, None), _Warehouse("duckdb", settings, None)
    data.make(only_csv=True)
    return median_of(
        "a CSV file", settings.runs, lambda: warehouse.load(CONTRACT, _csv_extracts(data.csv)), warehouse.fresh
    )


def _into(engine: str, settings: Settings, data: Data) -> list[Measurement]:
    say(f"loads into {engine}")
    warehouse = _Warehouse(engine, settings, data.server)
    # A process pays once for Python's imports; these figures are of the rows.
    warehouse.fresh()
    warehouse.load(CONTRACT, _no_rows)
    found: list[Measurement] = []

    def add(
        what: str, own: tuple[str, Callable[[], object]], ours: Callable[[], object], plain: Callable[[], object]
    ) -> None:
        reference = median_of(f"{what}: {own[0]}", settings.runs, own[1], warehouse.fresh).seconds
        took = median_of(f"{what}: Granary", settings.runs, ours, warehouse.fresh)
        found.append(Measurement(
            "loads", engine, what, took.seconds, own[0], reference, reference / took.seconds,
            at_least=AT_LEAST[engine], cpu=took.cpu,
        ))  # fmt: skip
        try:
            slow = median_of(f"{what}: plain dlt", settings.runs, plain, warehouse.fresh)
        except ModuleNotFoundError as error:
            note = f"needs {error.name}, which is not installed"
            found.append(Measurement("loads", engine, f"{what}, plain dlt", None, own[0], reference, note=note))
        else:
            found.append(Measurement("loads", engine, f"{what}, plain dlt", slow.seconds, own[0], reference,
                                     reference / slow.seconds, cpu=slow.cpu))  # fmt: skip

    add("CSV file", warehouse.own_csv(data.csv), lambda: warehouse.load(CONTRACT, _csv_extracts(data.csv)),
        lambda: warehouse.plain(_plain_csv(data.csv)))  # fmt: skip
    sqlite = f"sqlite:///{data.sqlite}"
    add("SQLite database", warehouse.own_sqlite(data.sqlite), lambda: warehouse.load_database(sqlite),
        lambda: warehouse.plain(_plain_database(sqlite, "pyarrow", "main")))  # fmt: skip
    if data.server:
        url = data.server.url("bench_source")
        plain_url = url.replace(":", "+psycopg2:", 1)
        add("Postgres database", warehouse.own_postgres(data.server), lambda: warehouse.load_database(url),
            lambda: warehouse.plain(_plain_database(plain_url, "connectorx", "public")))  # fmt: skip
        found += _compared(warehouse, data.server, settings)
    what = f"{RETAIL_FILES} files, the retail source whole"
    own = warehouse.own_retail(data.retail)
    reference = median_of(f"{what}: {own[0]}", settings.runs, own[1], warehouse.fresh).seconds
    took = median_of(f"{what}: Granary", settings.runs, lambda: warehouse.load_retail(data.retail), warehouse.fresh)
    note = "verifies each file, numbers lines, compares with versions before"
    found.append(Measurement("loads", engine, what, took.seconds, own[0], reference, reference / took.seconds,
                             at_least=FILES_AT_LEAST[engine], note=note, cpu=took.cpu))  # fmt: skip
    return found


def _compared(warehouse: _Warehouse, server: Server, settings: Settings) -> list[Measurement]:
    """A table of which one percent changed, compared as a whole, against the engine's own load and its own first."""
    url, what = server.url("bench_source"), "Postgres database, compared as a whole, one percent changed"
    first, again = list[Took](), list[Took]()
    for run in range(settings.runs):
        warehouse.fresh()
        first.append(timed(lambda: warehouse.load_database(url, "compare")))
        server.run("bench_source", f"update lines set quantity = quantity + 1 where id % 100 = {run}")
        server.run("bench_source", f"delete from lines where id % 10000 = {run + 100}")
        server.run("bench_source", "vacuum analyze lines")
        os.sync()
        again.append(timed(lambda: warehouse.load_database(url, "compare")))
    say(f"  {what}: {', '.join(f'{each.seconds:.2f}' for each in again)} s")
    own, work = warehouse.own_postgres(server)
    reference = median_of(f"{what}: {own}", settings.runs, work, warehouse.fresh).seconds
    took, engine = middle(again), warehouse.engine
    loaded = middle(first).seconds
    return [
        Measurement("loads", engine, what, took.seconds, own, reference, took.seconds / reference, cpu=took.cpu,
                    at_most=COMPARED_AT_MOST[engine], note="the ratio is Granary's time / the engine's"),
        Measurement("loads", engine, what, took.seconds, "its first load", loaded, took.seconds / loaded, at_most=1.0,
                    cpu=took.cpu),
    ]  # fmt: skip


def _csv_extracts(path: Path) -> ExtractFunction:
    """One CSV file as an extract, read as the retail source reads: all text, unreadable lines set aside."""

    def extracts(reader: Reader) -> Generator[Extract, None, None]:
        columns = ", ".join(f"'{name}': 'VARCHAR'" for name in TYPES)
        read = f"""(
            select {", ".join(TYPES)}, 'U' as _operation, 1 as _revision, timestamp '2026-01-31' as _effective_at
            from read_csv('{path}', columns = {{{columns}}}, auto_detect = false, header = true, delim = ',',
                quote = '"', escape = '"', nullstr = '', store_rejects = true))"""
        with path.open("rb") as file:
            count = sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b"")) - 1
        yield Extract(LINES, read, count)

    return extracts


def _no_rows(reader: Reader) -> Generator[Extract, None, None]:
    columns = {**TYPES, "_operation": "text", "_revision": "bigint", "_effective_at": "timestamp"}
    yield Extract(LINES, f"({no_rows(columns)})", 0)


class _Warehouse:
    """A new destination for each run, and every way to load into it."""

    def __init__(self, engine: str, settings: Settings, server: Server | None):
        self.engine = engine
        self.server = server
        self.folder = settings.folder / f"loads_{engine}"
        self.target = Target("dev" if engine == "duckdb" else "prod", engine, self.folder)
        self.own_file = self.folder / "own.duckdb"

    def fresh(self) -> None:
        """An empty destination; what was written before is on disk, so that no run pays for another."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        if self.engine == "postgres":
            self._server().fresh("bench_loads")
            self._server().run("bench_loads", CREATE)
        os.sync()

    def _server(self) -> Server:
        assert self.server is not None
        return self.server

    def load(self, contract: Source, extracts: ExtractFunction) -> None:
        """Through Granary: the whole load, from dlt's start to the indexes of raw."""
        values = {"RUNTIME__DLTHUB_TELEMETRY": "false"}
        if self.engine == "postgres":
            values |= self._server().settings("bench_loads")
        with environment(values):
            load(contract, extracts, self.target)

    def load_database(self, url: str, follow: str = "polling") -> None:
        """Through the reader of SQL databases; at first it knows nothing of the table yet."""
        settings = {"SOURCES__BENCH__CREDENTIALS": url, "SOURCES__BENCH__FOLLOW": follow}
        self.load(CONTRACT, _with_settings(sql.extracts, settings))

    def load_retail(self, folder: Path) -> None:
        """Through the retail source, as `make build` would."""
        self.load(read_contract("retail"), _with_settings(files.extracts, {"SOURCES__RETAIL__BUCKET_URL": str(folder)}))

    def plain(self, resource: Callable[[], object]) -> None:
        """Through dlt alone: no contract, no rejects, no load id in the rows."""
        destination: Any
        form: Literal["parquet", "csv"]
        if self.engine == "duckdb":
            destination, form = dlt.destinations.duckdb(str(self.folder / "plain.duckdb")), "parquet"
        else:
            destination, form = dlt.destinations.postgres(credentials=self._server().url("bench_loads")), "csv"
        with environment({"RUNTIME__DLTHUB_TELEMETRY": "false"}):
            pipeline = dlt.pipeline(
                "plain", destination=destination, dataset_name="lines_plain", pipelines_dir=str(self.folder)
            )
            pipeline.run(resource(), loader_file_format=form, write_disposition="append")

    # The engines' own loads. Each gives what it is, and the work.

    def own_csv(self, path: Path) -> tuple[str, Callable[[], object]]:
        if self.engine == "postgres":
            return "COPY of the same file", lambda: self._copy([path], "lines")
        columns = {name: kind.upper() for name, kind in TYPES.items()}
        read = f"read_csv('{path}', columns = {columns}, header = true, auto_detect = false)"
        return "create table as read_csv, typed", lambda: self._create(f"select * from {read}")

    def own_sqlite(self, path: Path) -> tuple[str, Callable[[], object]]:
        if self.engine == "duckdb":
            attach = f"attach '{path}' as source (type sqlite, read_only)"
            return "ATTACH, create table as", lambda: self._create("from source.lines", "sqlite_scanner", attach)
        return "ATTACH in DuckDB, to CSV, COPY", lambda: self._sqlite_to_postgres(path)

    def own_postgres(self, server: Server) -> tuple[str, Callable[[], object]]:
        if self.engine == "duckdb":
            attach = (
                f"attach 'host={server.host} user=postgres dbname=bench_source' as source (type postgres, read_only)"
            )
            return "ATTACH, create table as", lambda: self._create("from source.lines", "postgres_scanner", attach)
        return "COPY TO piped into COPY FROM", self._pipe

    def own_retail(self, folder: Path) -> tuple[str, Callable[[], object]]:
        [layout] = layouts(read_contract("retail"))
        columns = dict.fromkeys([column.at_source for column in layout.columns], "text")
        columns |= {"Quantity": "bigint", "InvoiceDate": "timestamp", "UnitPrice": "numeric(18,4)"}
        if self.engine == "duckdb":
            typed = {name: kind.upper() for name, kind in columns.items()}
            read = f"read_csv('{folder}/*.csv', columns = {typed}, header = true, auto_detect = false)"
            return "create table as read_csv, typed", lambda: self._create(f"select * from {read}")
        create = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
        files = sorted(folder.glob("*.csv"))
        return "COPY of the same files", lambda: self._copy(files, "retail", f"create table retail ({create})")

    def _create(self, select: str, extension: str | None = None, attach: str = "select 1") -> None:
        with closing(duckdb.connect(str(self.own_file))) as duck:
            if extension:
                load_extension(duck, extension)
            duck.execute(attach)
            duck.execute(f"create table lines as {select}")

    def _copy(self, paths: list[Path], table: str, create: str | None = None) -> None:
        with closing(self._server().connect("bench_loads")) as connection, connection.cursor() as cursor:
            if create:
                cursor.execute(create)
            for path in paths:
                with path.open("rb") as file:
                    cursor.copy_expert(f"copy {table} from stdin (format csv, header)", file, 1 << 20)

    def _sqlite_to_postgres(self, path: Path) -> None:
        copy = self.folder / "own.csv"
        with closing(connect()) as duck:
            load_extension(duck, "sqlite_scanner")
            duck.execute(f"attach '{path}' as source (type sqlite, read_only)")
            duck.execute(f"copy source.lines to '{copy}' (format csv, header)")
        self._copy([copy], "lines")

    def _pipe(self) -> None:
        read, write = os.pipe()

        def send() -> None:
            connection = self._server().connect("bench_source")
            with closing(connection), connection.cursor() as cursor, os.fdopen(write, "wb") as file:
                cursor.copy_expert("copy lines to stdout", file)

        sender = threading.Thread(target=send)
        sender.start()
        connection = self._server().connect("bench_loads")
        with closing(connection), connection.cursor() as cursor, os.fdopen(read, "rb") as file:
            cursor.copy_expert("copy lines from stdin", file, 1 << 20)
        sender.join()


def _with_settings(extracts: ExtractFunction, values: dict[str, str]) -> ExtractFunction:
    """The source's own reader, told where to read as a person would: by environment variables."""

    def told(reader: Reader) -> Generator[Extract, None, None]:
        os.environ.update(values)
        yield from extracts(reader)

    return told


def _plain_csv(path: Path) -> Callable[[], object]:
    def resource() -> object:
        from dlt.sources.filesystem import filesystem, read_csv_duckdb

        files = filesystem(bucket_url=str(path.parent), file_glob=path.name)
        return (files | read_csv_duckdb(chunk_size=CHUNK, use_pyarrow=True)).with_name("lines")

    return resource


def _plain_database(url: str, backend: Literal["pyarrow", "connectorx"], schema: str) -> Callable[[], object]:
    def resource() -> object:
        for module in ("sqlalchemy", *(("connectorx",) if backend == "connectorx" else ())):
            if importlib.util.find_spec(module) is None:
                raise ModuleNotFoundError(f"{backend} needs {module}", name=module)
        from dlt.sources.sql_database import sql_table

        return sql_table(credentials=url, table="lines", schema=schema, backend=backend, chunk_size=CHUNK)

    return resource
