"""What encryption at rest costs on DuckDB: the same build, the same reading, in the clear and under a key, in turns."""

from __future__ import annotations

import secrets
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from bench.builds import Warehouse
from bench.company import Company
from bench.measuring import Measurement, Settings, Took, say, timed
from ingestion.environment import variables
from ingestion.keys import BEFORE, KEY
from warehouse.ops.rekey import rekey
from warehouse.reading.query import open_published
from warehouse.reading.storage import published_tables

KEYS = {"in the clear": "", "under a key": secrets.token_urlsafe(32)}


def measure(settings: Settings) -> list[Measurement]:
    """Build, read and change keys; DuckDB alone."""
    say("making the company")
    company = Company(settings, 0)
    company.make()
    warehouses = {}
    for number, how in enumerate(KEYS):
        folder = settings.folder / f"encryption_{number}"
        folder.mkdir(parents=True, exist_ok=True)
        warehouses[how] = Warehouse("duckdb", replace(settings, folder=folder), None, company)
        with _keyed(how):
            say(f"raw, {how}")
            warehouses[how].prepare()
    builds: dict[str, list[Took]] = {how: [] for how in KEYS}
    reads: dict[str, list[Took]] = {how: [] for how in KEYS}
    for _ in range(settings.runs):
        for how, warehouse in warehouses.items():
            with _keyed(how):
                warehouse.restore()
                built = warehouse.build(full=True)
                say(f"  {how}: {built}")
                builds[how].append(built.took)
                reads[how].append(timed(lambda: _read(warehouse)))  # noqa: B023
    clear, keyed = KEYS
    took = {how: _bytes(warehouse) for how, warehouse in warehouses.items()}
    with _keyed(keyed), variables({KEY: secrets.token_urlsafe(32), BEFORE: KEYS[keyed]}):
        changing = timed(lambda: rekey(warehouses[keyed].target, say))
    size = f"{took[keyed] / 1e6:,.0f} MB; {took[clear] / 1e6:,.0f} MB in the clear"
    return [
        _compared("a full build", builds[keyed], builds[clear], size),
        _compared("all columns of all published tables", reads[keyed], reads[clear], "with opening the file"),
        Measurement("encryption", "duckdb", "make rotate KEY=files", changing.seconds, cpu=changing.cpu, note=size),
    ]


def _compared(what: str, keyed: list[Took], clear: list[Took], note: str) -> Measurement:
    seconds, reference = (statistics.median(each.seconds for each in runs) for runs in (keyed, clear))
    used, usual = (statistics.median(each.cpu for each in runs) for runs in (keyed, clear))
    return Measurement(
        "encryption", "duckdb", what, seconds, "in the clear", reference, seconds / reference,
        note=f"CPU {used / usual:.2f}; {note}", cpu=used,
    )  # fmt: skip


@contextmanager
def _keyed(how: str) -> Iterator[None]:
    with variables({KEY: KEYS[how]}):
        yield


def _read(warehouse: Warehouse) -> None:
    with open_published(warehouse.target, runs=False) as connection:
        for schema, name in published_tables(warehouse.target, connection):
            connection.execute(f"select bit_xor(hash(t)) from {schema}.{name} as t").fetchall()


def _bytes(warehouse: Warehouse) -> int:
    return sum(file.stat().st_size for file in warehouse.folder.glob("*.duckdb"))
