"""Growth: what loads, builds, days, batches, publishing and queries cost as a company grows, and by which exponent."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace

from bench import loads, queries
from bench.builds import Warehouse
from bench.company import Company
from bench.measuring import Measurement, Settings, Took, middle, percentile, say, timed
from warehouse.build.build import Request, build
from warehouse.publish.publish import exchange_files

# Tenths, once and ten times the full sizes: 0.6, 6 and 60 million sales lines.
SCALES = (0.1, 1.0, 10.0)
DAYS = 3
BATCHES, UNCOUNTED = 20, 4
MEMORY_AT_MOST = 6.0
# A day of ten times the company is ten times the work.
DAY_AT_MOST = 12.0
FULL, DAY, BATCH = "a full build, tests and publishing among it", "a day of one percent, two behind", "a batch: p95"


def measure(settings: Settings) -> list[Measurement]:
    """Everything at each size on DuckDB, by `make build`'s own way, tests among it."""
    found: list[Measurement] = []
    taken: dict[str, list[Took]] = {}
    for scale in SCALES:
        size = replace(settings, scale=settings.scale * scale, folder=settings.folder / "growth")
        shutil.rmtree(size.folder, ignore_errors=True)
        size.folder.mkdir(parents=True)
        say(f"growth: {scale:g} of the full sizes")
        for what, took in _at(size).items():
            taken.setdefault(what, []).append(took)
            memory = f"at most {took.memory / 1e9:.1f} GB of memory"
            at_most = MEMORY_AT_MOST if what == FULL and scale == SCALES[-1] else None
            found.append(Measurement(
                "growth", "duckdb", f"{scale:g}: {what}", took.seconds, "gigabytes of memory", None,
                took.memory / 1e9 if at_most else None, at_most=at_most, note=memory, cpu=took.cpu,
            ))  # fmt: skip
            say(f"  {what}: {took.seconds:.2f} s, CPU {took.cpu:.1f} s, {memory}")
    shutil.rmtree(settings.folder / "growth")
    return found + [_grown(what, each) for what, each in taken.items() if len(each) == len(SCALES)]


def _grown(what: str, taken: list[Took]) -> Measurement:
    """The largest beside the middle one, and the exponent by which seconds grow from the least to the largest."""
    least, middle_one, largest = (each.seconds for each in taken)
    exponent = math.log(largest / least) / math.log(SCALES[-1] / SCALES[0])
    return Measurement(
        "growth", "duckdb", f"{what}: ten times the company", largest, "the company", middle_one, largest / middle_one,
        at_most={DAY: DAY_AT_MOST}.get(what), note=f"exponent {exponent:.2f}",
    )  # fmt: skip


def _at(settings: Settings) -> dict[str, Took]:
    """What each thing took at one size, by its name."""
    found = {"a load of a CSV file": loads.csv_load(settings)}
    company = Company(settings, DAYS, BATCHES + UNCOUNTED)
    company.make()
    warehouse = Warehouse("duckdb", settings, None, company)
    warehouse.prepare(keep=False)
    target = warehouse.target

    def built(*, full: bool = False, is_batch: bool = False) -> Took:
        request = Request(full=full, ingest=False, is_batch=is_batch, by_rows=is_batch)
        took = timed(lambda: build(target, request, lambda line: None))
        warehouse.settle()
        return took

    found[FULL] = middle([built(full=True) for _ in range(2)])
    days = []
    for number in range(1, DAYS + 1):
        company.write(target, number)
        days.append(built())
    found[DAY] = middle(days[1:])
    batches = []
    for number in range(DAYS + 1, DAYS + UNCOUNTED + BATCHES + 1):
        company.write(target, number)
        batches.append(built(is_batch=True))
    counted = sorted(batches[UNCOUNTED:], key=lambda each: each.seconds)
    slow = percentile([each.seconds for each in counted], 0.95)
    found[BATCH] = next(each for each in counted if each.seconds == slow)
    found["the exchange of generations"] = middle([timed(lambda: exchange_files(target)) for _ in range(2)])
    asked = queries.measure(target, {})
    p95 = next(each for each in asked if each.what.startswith("aggregates") and each.what.endswith("p95"))
    found["dashboard queries: p95"] = Took(p95.seconds or p95.ratio or math.nan, 0.0)
    return found
