"""Micro-batches: how long a change takes from its commit at the source to what readers see, batch after batch."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean, median

from bench.measuring import Measurement, Settings, percentile, say
from bench.server import Server
from ingestion.project import PROJECT_ROOT

DATABASE = "batches"
DAYS = 730
BY_DBT = 10
# The first batches of either generation are dbt's, which writes down what it sends.
UNCOUNTED = 4
HUNDRED = 100
BY_DBT_AT_MOST, FAST_AT_MOST, GROWTH_AT_MOST = {"duckdb": 4.0, "postgres": 6.0}, 1.5, 1.1
PATIENCE_SECONDS = 300
TINY = PROJECT_ROOT / "tests" / "tiny" / "project"


@dataclass(frozen=True)
class Followed:
    """A source that is followed.

    change: makes the change with this number at the source, and has committed it when it returns.
    environment: names the source, and the project where it is not Granary's own.
    """

    name: str
    change: Callable[[int], None]
    environment: Mapping[str, str]


def measure(settings: Settings, server: Server | None, batches: int, project: str) -> list[Measurement]:
    """Follow a source on each engine: first by dbt, then by what dbt sent.

    Args:
        settings: the engines, and where it all lies.
        server: the warehouse's Postgres, where that is an engine.
        batches: how many are measured that dbt doesn't make.
        project: `commerce` or `tiny`.
    """
    found: list[Measurement] = []
    for engine in settings.engines:
        folder = settings.folder / "batches"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        followed = (_shop if project == "commerce" else club)(folder)
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
        look = look_at(engine, folder, server, DATABASE)
        for number in range(2):
            followed.change(number)
            subprocess.run([sys.executable, "-m", "warehouse", "build"], env=environment, cwd=PROJECT_ROOT, check=True,
                           stdout=subprocess.DEVNULL)  # fmt: skip
        by_dbt, _ = _ways(followed, environment, look, BY_DBT, ["--by-dbt"])
        found.append(_line(engine, f"{project}: a batch through dbt: p95", by_dbt, BY_DBT_AT_MOST[engine]))
        ways, cpu = _ways(followed, environment, look, batches, [])
        note = f"median {median(ways):.2f} s, {cpu / len(ways):.2f} s of CPU"
        found.append(_line(engine, f"{project}: {batches} batches: p95", ways, FAST_AT_MOST, note))
        if batches >= 3 * HUNDRED:
            second, last = mean(ways[HUNDRED : 2 * HUNDRED]), mean(ways[-HUNDRED:])
            found.append(
                Measurement(
                    "batches",
                    engine,
                    f"{project}: the last hundred",
                    last,
                    "the second hundred",
                    second,
                    last / second,
                    at_most=GROWTH_AT_MOST,
                )
            )
    return found


def _line(engine: str, what: str, ways: list[float], most: float, note: str = "") -> Measurement:
    p95 = percentile(ways, 0.95)
    return Measurement("batches", engine, what, p95, ratio=p95, at_most=most, note=note)


def _ways(
    followed: Followed, environment: Mapping[str, str], look: Callable[[], object], count: int, words: list[str]
) -> tuple[list[float], float]:
    """The seconds from each change to the mart, and the CPU's of all."""
    ways: list[float] = []
    with following(followed, environment, words) as process:
        before, started = look(), 0.0
        for number in range(UNCOUNTED + count):
            if number == UNCOUNTED:
                started = _cpu(process.pid)
            followed.change(number)
            committed = time.perf_counter()
            while (now := look()) == before:
                if process.poll() is not None or time.perf_counter() - committed > PATIENCE_SECONDS:
                    raise RuntimeError(f"batch {number} of {followed.name} came to no reader: see batches/said")
                time.sleep(0.005)
            ways.append(time.perf_counter() - committed)
            before = now
            if number % HUNDRED == HUNDRED - 1:
                say(f"  {followed.name}: {number + 1} batches, the last hundred {mean(ways[-HUNDRED:]):.2f} s")
        cpu = _cpu(process.pid) - started
    say(f"  {followed.name} {' '.join(words)}: {', '.join(f'{each:.2f}' for each in ways[UNCOUNTED:][:10])} … s")
    return ways[UNCOUNTED:], cpu


@contextmanager
def following(
    followed: Followed, environment: Mapping[str, str], words: list[str]
) -> Iterator[subprocess.Popen[bytes]]:
    """`make follow` of a source, until the end."""
    with (Path(environment["WAREHOUSE_DIR"]) / "said").open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "warehouse", "follow", followed.name, *words],
            env=dict(environment), cwd=PROJECT_ROOT, stdout=said, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=PATIENCE_SECONDS)


def _cpu(process: int) -> float:
    """The seconds of CPU that a process and its children have had."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def look_at(engine: str, folder: Path, server: Server | None, database: str) -> Callable[[], object]:
    """What changes when a generation is published."""
    if not server or engine == "duckdb":
        return lambda: (folder / "warehouse.duckdb").stat().st_ino if (folder / "warehouse.duckdb").exists() else None
    connection = server.connect(database)

    def look() -> object:
        with connection.cursor() as cursor:
            cursor.execute("select generation_number from ops.generation")
            return cursor.fetchone()

    return look


def _shop(folder: Path) -> Followed:
    """The demo company's shop of two years: a change is one of an order, a line of it and its payment."""
    subprocess.run(
        [sys.executable, "-m", "ingestion.demo", "simulate", "--domain", "commerce", "--folder", str(folder / "demo"),
         "--days", str(DAYS)], cwd=PROJECT_ROOT, check=True, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    file = folder / "demo" / "shop.sqlite"

    def change(number: int) -> None:
        now = datetime.now(UTC).replace(tzinfo=None).isoformat(sep=" ", timespec="seconds")
        told = "version = version + 1, updated_at = :now"
        with closing(sqlite3.connect(file, timeout=60)) as connection, connection:
            orders = connection.execute(
                "select o.id, i.id, i.quantity from orders as o join order_items as i on i.order_id = o.id "
                "join payments as p on p.order_id = o.id where o.status = 'paid' and i.kind = 'sale' order by o.id"
            ).fetchall()
            order, line, quantity = orders[number % len(orders)]
            values = {"now": now, "order": order, "line": line, "more": quantity}
            connection.execute(
                f"update order_items set unit_price_amount = unit_price_amount + 1, {told} where id = :line", values
            )
            connection.execute(f"update payments set amount = amount + :more, {told} where order_id = :order", values)
            connection.execute(
                "update orders set subtotal_amount = subtotal_amount + :more, total_amount = total_amount + :more, "
                f"{told} where id = :order",
                values,
            )

    return Followed("shop", change, {"SOURCES__SHOP__CREDENTIALS": f"sqlite:///{file}"})


def club(folder: Path) -> Followed:
    """The tests' own small source of files: a change is a new version of a member and a visit."""
    delivered = folder / "delivered"
    delivered.mkdir()
    revision = 0

    def change(number: int) -> None:
        nonlocal revision
        for old in sorted(delivered.iterdir())[:-8]:
            old.unlink()
        revision += 1
        now = datetime.now(UTC).replace(tzinfo=None).isoformat(sep=" ")
        member = 1 + revision % 50
        rows = {
            "members": (
                "email,town,tier",
                f"m{member}@example.com,Town {member},{('bronze', 'silver')[revision % 2]}",
                member,
            ),
            "visits": ("member_id,visited_at,amount", f"{member},{now},{revision % 90}", revision),
        }
        for table, (names, values, record) in rows.items():
            text = f"op,revision,at,id,{names}\nU,{revision},{now},{record},{values}\n"
            partial = folder / "partial.csv"
            partial.write_text(text, encoding="utf-8")
            partial.rename(delivered / f"{revision:08}.{table}.csv")

    return Followed("club", change, {"GRANARY_PROJECT_DIR": str(TINY), "SOURCES__CLUB__BUCKET_URL": str(delivered)})
