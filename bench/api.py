"""The HTTP API beside plain connections: one client, fifty, a million rows, memory, and paging through publishes."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import adbc_driver_postgresql.dbapi as adbc
import pyarrow as pa

from bench.batches import club, following, look_at
from bench.clients import by_connections, over_http, paging
from bench.measuring import Measurement, Settings, Took, begin_peak, median_of, peak, percentile, say
from bench.server import PASSWORD, Server
from bench.serving import DATABASE, REPORTER, Api, built, connecting, deliver, served

VISITS = 1_000_000
CLIENTS = 50
SECONDS = 8.0  # of fifty clients asking one thing
ANSWERS = 200  # of one client
PUBLISHES = 20
# One client: at most 1.5 times as long as a connection, and 15 ms.
P95_TIMES, P95_PLUS = 1.5, 0.015
THROUGHPUT_AT_LEAST, ARROW_AT_LEAST, MEMORY_AT_MOST = 0.4, 0.5, 1.1
MART = "/marts/tiny/fct_visits"


@dataclass(frozen=True)
class Question:
    """What is asked in two ways: an address and a statement. {0} is the number of a visit, {1} that of `rows` later."""

    what: str
    address: str
    statement: str
    rows: int

    def addresses(self, numbers: Iterator[int]) -> Iterator[str]:
        """The addresses for these numbers."""
        return (self.address.format(number, number + self.rows) for number in numbers)

    def statements(self, numbers: Iterator[int]) -> Iterator[str]:
        """The statements for these numbers."""
        return (self.statement.format(number, number + self.rows) for number in numbers)


_ADDRESS = MART + "?visit_id.gt={0}&visit_id.lte={1}"
_STATEMENT = "select * from tiny.fct_visits where visit_id > {0} and visit_id <= {1}"
QUESTIONS = (
    Question("a page of 1,000 rows, JSON", _ADDRESS, _STATEMENT, 1000),
    Question("1,000 rows, Arrow", _ADDRESS + "&format=arrow", _STATEMENT, 1000),
    Question("100 rows, JSON", _ADDRESS + "&limit=100", _STATEMENT + " limit 100", 100),
    Question("10 rows, JSON", _ADDRESS + "&limit=10", _STATEMENT + " limit 10", 10),
    Question(
        "10 of all visits, JSON",
        MART + "?visit_amount.lt=1&visit_id.ne={0}&sort=visited_at&limit=10",
        "select * from tiny.fct_visits where visit_amount < 1 and visit_id <> {0} order by visited_at limit 10",
        10,
    ),
)


def measure(settings: Settings, server: Server | None) -> list[Measurement]:
    """Serve a club of a million visits on each engine, and ask it with and without the API.

    Args:
        settings: the engines, and where it all lies.
        server: the warehouse's Postgres, where that is an engine.
    """
    found: list[Measurement] = []
    for engine in settings.engines:
        say(f"{engine}: the API")
        folder = settings.folder / "api"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        followed = club(folder)
        environment = {
            **os.environ,
            **followed.environment,
            "WAREHOUSE_DIR": str(folder),
            "DBT_TARGET_PATH": str(folder),
        }
        if server and engine == "postgres":
            server.fresh(DATABASE)
            environment |= {**server.settings(DATABASE), "TARGET": "prod"}
        else:
            environment["TARGET"] = "dev"
        rows = settings.size(VISITS)
        deliver(folder / "delivered" / "0.visits.csv", rows)
        key = built(environment, engine)
        if server and engine == "postgres":
            server.run(DATABASE, "vacuum analyze")
        with served(environment, folder / "api.log") as (port, process):
            api = Api(engine, port, process, key, rows, connecting(engine, folder, server),
                      max(1.0, SECONDS * min(1.0, settings.scale)))  # fmt: skip
            found += [*_one_client(api), *_fifty(api), *_arrow(api, settings.runs), _memory(api)]
            with following(followed, environment, []) as publisher:
                found.append(_publishes(api, followed.change, look_at(engine, folder, server, DATABASE), publisher))
    return found


def _one_client(api: Api) -> Iterator[Measurement]:
    for each in QUESTIONS:
        own = over_http(api.port, api.key, each.addresses(_different(api)), 1, api.seconds, ANSWERS)
        plain = by_connections(api.connect, each.statements(_different(api)), 1, api.seconds, ANSWERS)
        one, other = (percentile(way.ways, 0.95) for way in (own, plain) if way.each)
        allowed = P95_TIMES * other + P95_PLUS
        yield _line(
            api, f"one client, {each.what}: p95", one, "by a connection", other, one / allowed, at_most=1.0,
            note=f"of {P95_TIMES} x + {P95_PLUS * 1000:.0f} ms",
        )  # fmt: skip


def _fifty(api: Api) -> Iterator[Measurement]:
    for each, kind in itertools.product(QUESTIONS, ("the same", "different")):
        numbers = [itertools.repeat(api.rows // 2) if kind == "the same" else _different(api) for _ in range(2)]
        own = over_http(api.port, api.key, each.addresses(numbers[0]), CLIENTS, api.seconds).each
        plain = by_connections(api.connect, each.statements(numbers[1]), CLIENTS, api.seconds).each
        yield _line(
            api, f"{CLIENTS} clients, {each.what}, {kind}: an answer", own, f"{CLIENTS} connections", plain,
            plain / own, at_least=THROUGHPUT_AT_LEAST, note=f"{1 / own:,.0f} a second, {1 / plain:,.0f} by connections",
        )  # fmt: skip


def _different(api: Api) -> Iterator[int]:
    """Numbers of visits, none of them twice in a row of millions."""
    return (number * 7919 % (api.rows * 9 // 10) for number in itertools.count(1))


def _arrow(api: Api, runs: int) -> Iterator[Measurement]:
    statement = "select * from tiny.fct_visits"

    def own() -> None:
        _streamed(api, MART + "?format=arrow", api.rows)

    def plain() -> None:
        if api.engine == "duckdb":
            with closing(api.connect()) as cursor:
                table = cursor.execute(statement).to_arrow_table()
        else:
            settings = api.connect().get_dsn_parameters()
            uri = f"postgresql:///{settings['dbname']}?host={settings['host']}&user={REPORTER}&password={PASSWORD}"
            with adbc.connect(uri) as connection, connection.cursor() as cursor:
                cursor.execute(statement)
                table = cursor.fetch_arrow_table()
        assert table.num_rows == api.rows

    took: list[Took] = [median_of(name, runs, work) for name, work in (("as Arrow", own), ("the engine's", plain))]
    yield _line(
        api, f"{api.rows:,} rows as Arrow", took[0].seconds, "the engine's own Arrow", took[1].seconds,
        took[1].seconds / took[0].seconds, at_least=ARROW_AT_LEAST, cpu=took[0].cpu,
    )  # fmt: skip


def _streamed(api: Api, address: str, rows: int) -> None:
    """Read a stream to its end, which has so many rows, and keep none of it."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{api.port}{address}", headers={"Authorization": f"Bearer {api.key}"}
    )
    with urllib.request.urlopen(request, timeout=600) as answer, pa.ipc.open_stream(answer) as batches:
        found = sum(len(batch) for batch in batches)
    if found != rows:
        raise RuntimeError(f"{address}: {found} rows of {rows}")


def _memory(api: Api) -> Measurement:
    """The most that the API's process holds while all rows are sent, beside a tenth of them."""
    tenth = api.rows // 10
    peaks = []
    for address, rows in ((f"{MART}?format=arrow&limit={tenth}", tenth), (f"{MART}?format=arrow", api.rows)):
        begin_peak(api.process)
        for _ in range(3):
            _streamed(api, address, rows)
        peaks.append(peak(api.process))
    ratio = peaks[1] / peaks[0]
    note = f"{peaks[1] / 1e6:.0f} MB; for {tenth:,} rows {peaks[0] / 1e6:.0f} MB: {ratio:.2f}"
    return Measurement(
        "api",
        api.engine,
        f"memory while {api.rows:,} rows are sent",
        None,
        ratio=ratio,
        at_most=MEMORY_AT_MOST,
        note=note,
    )


def _publishes(
    api: Api, change: Callable[[int], None], look: Callable[[], object], publisher: subprocess.Popen[bytes]
) -> Measurement:
    is_over = threading.Event()

    def publish() -> None:
        try:
            for number in range(PUBLISHES):
                before = look()
                change(number)
                while look() == before and publisher.poll() is None:
                    time.sleep(0.01)
        finally:
            is_over.set()

    publishing = threading.Thread(target=publish)
    publishing.start()
    address = f"{MART}?visit_id.lt=3000&select=visit_id&sort=visit_id&page_size=500"
    found = paging(api.port, api.key, address, "visit_id", CLIENTS, is_over)
    publishing.join()
    wrong = len(found.wrong) + sum(len(counts) > 1 for counts in found.rows.values())
    note = f"{found.requests:,} requests, {found.pagings:,} pagings of {len(found.rows)} generations, {wrong} wrong"
    if found.wrong:
        note += f": {found.wrong[0]}"
    is_done = len(found.rows) > PUBLISHES // 2 and publisher.poll() is None
    return Measurement(
        "api", api.engine, f"{CLIENTS} clients page through {PUBLISHES} publishes", None,
        ratio=float(wrong) if is_done else None, at_most=0.0, note=note,
    )  # fmt: skip


def _line(
    api: Api, what: str, seconds: float, against: str, reference: float, ratio: float, **more: Any
) -> Measurement:
    return Measurement("api", api.engine, what, seconds, against, reference, ratio, **more)
