"""The real trading days, day by day, shuffled, late, and with a wrong file in between: always the same tables."""

from __future__ import annotations

import csv
import gzip
import os
import random
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

from ingestion.duck import connect
from tests.commerce.real_days import REAL_DAYS, wrong_figures
from tests.prove.same import expect_same
from tests.prove.tally import BrokenPromiseError, Tally
from tests.warehouses import attach_published, build_from
from warehouse.errors import BuildError

NOT_RUN = "THE REAL TRADING DAYS ARE NOT HERE: THE PART days WAS NOT RUN"
LATE = timedelta(days=21)
LATE_DAYS = 5
# What the wrong file has that no true one has, and so nothing published may have in the end.
WRONG_INVOICE, WRONG_CODE, WRONG_CUSTOMERS = "999999", "WRONG", ("99998.0", "99999.0")

# The files that are delivered one after the other; a build follows each bunch of them.
Bunches = list[list[Path]]
Say = Callable[[str], None]


def a_day_at_a_time(days: Sequence[Path]) -> Bunches:
    """In order, with a build after each."""
    return [[day] for day in days]


def shuffled(days: Sequence[Path], bunches: int, chance: random.Random) -> Bunches:
    """In any order, cut anywhere into so many bunches."""
    order = chance.sample(days, len(days))
    cuts = sorted(chance.sample(range(1, len(order)), bunches - 1))
    return [order[start:end] for start, end in pairwise([0, *cuts, len(order)])]


def late_and_corrected(days: Sequence[Path], wrong: Path, every: int, chance: random.Random) -> Bunches:
    """In order, but five days come three weeks late, and for as long one day has a wrong file.

    Args:
        days: the true files.
        wrong: a folder for the wrong file.
        every: calendar days from one build to the next; not more than three weeks, so that at least one build comes
            between the wrong file and the true one.
        chance: decides which days, and what is wrong.
    """
    assert timedelta(days=every) <= LATE
    *late, corrected = chance.sample(days, LATE_DAYS + 1)
    comes = {day: date.fromisoformat(day.name[:10]) for day in days}
    deliveries = [(comes[day] + (LATE if day in late or day == corrected else timedelta()), day) for day in days]
    deliveries.append((comes[corrected], write_wrong(corrected, wrong, chance)))
    bunches: dict[int, list[Path]] = {}
    for moment, file in sorted(deliveries):
        bunches.setdefault((moment - min(comes.values())).days // every, []).append(file)
    return list(bunches.values())


def write_wrong(true: Path, folder: Path, chance: random.Random) -> Path:
    """Write a version of a day's file that is wrong and an hour older: lines are missing, changed and made up.

    Returns:
        The wrong file, of the true one's name.
    """
    with gzip.open(true, "rt", encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    some = max(1, len(lines) // 20)
    # A missing line also moves those that follow it in its invoice to other numbers.
    for place in sorted(chance.sample(range(len(lines)), some), reverse=True):
        del lines[place]
    for line in chance.sample(lines, some):
        line["Quantity"] = str(int(line["Quantity"]) + 7)
    for line in chance.sample(lines, some):
        line["UnitPrice"] = str(Decimal(line["UnitPrice"]) + 1)
    for line in chance.sample(lines, some):
        line["Description"] = f"WRONG {line['Description']}"
    for line in chance.sample(lines, some):
        line["CustomerID"] = WRONG_CUSTOMERS[0]
    lines.append(
        lines[-1] | {"InvoiceNo": WRONG_INVOICE, "StockCode": WRONG_CODE, "CustomerID": WRONG_CUSTOMERS[1]},
    )
    folder.mkdir(parents=True, exist_ok=True)
    wrong = folder / true.name
    with gzip.open(wrong, "wt", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
    earlier = true.stat().st_mtime_ns - 3_600_000_000_000
    os.utime(wrong, ns=(earlier, earlier))
    return wrong


def feed(
    what: str, bunches: Bunches, folder: Path, engine: Mapping[str, str], tally: Tally, say: Say, tests_every: int = 1
) -> Path:
    """Deliver the bunches to a new warehouse, each file with its own time, and build after each bunch.

    Args:
        what: names the path in what is said.
        bunches: what is delivered; a file takes the place of an earlier one of its name.
        folder: for the delivered files and the warehouse.
        engine: TARGET and libpq's variables where the warehouse is a Postgres; nothing for DuckDB.
        tally: counts builds and files.
        say: takes lines of progress.
        tests_every: dbt's tests, which take most of a build's time, run with one of so many builds and with the last.

    Returns:
        The warehouse's folder.

    Raises:
        BrokenPromiseError: a build failed.
    """
    delivered, warehouse, started = folder / "delivered", folder / "warehouse", time.monotonic()
    delivered.mkdir(parents=True)
    for number, bunch in enumerate(bunches, start=1):
        for file in bunch:
            shutil.copy2(file, delivered / file.name)
        tested = (len(bunches) - number) % tests_every == 0
        try:
            build_from(warehouse, {"SOURCES__RETAIL__BUCKET_URL": str(delivered), **engine}, tested=tested)
        except BuildError as error:
            raise BrokenPromiseError(f"{what}: build {number} of {len(bunches)} failed: {error}") from error
        tally.add("real days delivered", len(bunch))
        tally.add("builds of real days")
        tally.add("of these with all of dbt's tests", int(tested))
        if number % 10 == 0 or number == len(bunches):
            say(f"  {what}: build {number} of {len(bunches)}, {(time.monotonic() - started) / 60:.1f} minutes")
    return warehouse


def prove_days(
    folder: Path, postgres: Mapping[str, str], number: int, tally: Tally, say: Say, *, short: bool = False
) -> None:
    """Feed all real days by every path, and compare each with all at once and with what is known of the files.

    Args:
        folder: for the files and warehouses; it must be empty.
        postgres: TARGET and libpq's variables of an empty database.
        number: the seed, which decides the order, the bunches, the late days and what is wrong.
        tally: counts paths, rows, builds and files.
        say: takes lines of progress.
        short: the path on Postgres alone, beside all at once on DuckDB.

    Raises:
        BrokenPromiseError: tables or totals differ, or a build failed; or CI is true and the days are not there.
    """
    if not REAL_DAYS.exists():
        if os.environ.get("CI") == "true":
            raise BrokenPromiseError(NOT_RUN)
        print(NOT_RUN)
        return
    days = sorted(REAL_DAYS.iterdir())
    whole = feed("all at once", [days], folder / "whole", {}, tally, say)
    _expect_figures("all at once", whole)
    # Each path has its own chance: what one does doesn't hang on the others. The longest comes last.
    paths: list[tuple[str, Bunches, Mapping[str, str], int]] = [
        ("shuffled", shuffled(days, 12, random.Random(number)), {}, 1),
        ("late and corrected", late_and_corrected(days, folder / "wrong", 7, random.Random(number)), {}, 1),
        (
            "late and corrected on Postgres",
            late_and_corrected(days, folder / "wrong_pg", LATE.days, random.Random(number + 1)),
            postgres,
            1,
        ),
        ("a day at a time", a_day_at_a_time(days), {}, 20),
    ]
    if short:
        paths = [paths[2]]
    for what, bunches, engine, tests_every in paths:
        warehouse = feed(what, bunches, folder / what.replace(" ", "_"), engine, tally, say, tests_every)
        expect_same(f"the real days, {what}", whole, engine or warehouse, tally)
        _expect_figures(f"the real days, {what}", engine or warehouse)


def _expect_figures(what: str, warehouse: Path | Mapping[str, str]) -> None:
    with connect() as connection:
        attach_published(connection, warehouse, "published")
        if wrong := wrong_figures(connection, "published.commerce.fct_sales"):
            raise BrokenPromiseError(f"{what}: not what the files hold: {'; '.join(wrong)}")
