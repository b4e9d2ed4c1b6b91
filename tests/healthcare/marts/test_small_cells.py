"""An attacker on monthly population: nobody finds a cell of 1 to 10 persons in what is released of a small clinic.

What an attacker has: the cells that are told, the rows `suppressed`, every person's group in `dim_released_patients`,
and from released events who was seen in which year. Unknown are the counts of the other groups in each month. Of a
month they are whole numbers that add up to `suppressed`, each at most the persons of the group who were seen in the
year; and in the months of a year together a group has at least these. What these bounds leave one value is found.
"""

from __future__ import annotations

import random
import re
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from ingestion.project import PROJECT_ROOT
from tests.healthcare.demo.clinics import truth
from tests.healthcare.marts.care import asked
from tests.warehouse.made_up_history import MadeUpHistory

Group = tuple[str, str, str]
Cells = dict[date, dict[Group, int]]

_SUPPRESSED = ("suppressed", "suppressed", "suppressed")
_MODEL = PROJECT_ROOT / "models" / "marts" / "healthcare" / "safe" / "agg_population__monthly.sql"


def found_by_an_attacker(told: Cells, in_years: dict[int, dict[Group, int]], months: set[date]) -> list[str]:
    """The small cells that can be computed. `months` are those in which the clinic was open, as anybody may know."""
    bounds: dict[date, dict[Group, tuple[int, int]]] = {}
    for month in sorted(months):
        capacity = in_years[month.year]
        cells = told.get(month)
        if cells is None:
            bounds[month] = {group: (0, most) for group, most in capacity.items()}
            continue
        hidden = {group: most for group, most in capacity.items() if group not in cells}
        total = cells.get(_SUPPRESSED, 0)
        room = sum(hidden.values())
        bounds[month] = {group: (cells[group], cells[group]) for group in capacity if group in cells} | {
            group: (max(0, total - room + most), min(most, total)) for group, most in hidden.items()
        }
    found = []
    for month, groups in bounds.items():
        of_year = [other for other in bounds if other.year == month.year and other != month]
        if not of_year:
            continue  # released events alone tell who was seen in the only month of a year
        for group, (low, high) in groups.items():
            others = sum(bounds[other][group][1] for other in of_year)
            low = max(low, in_years[month.year][group] - others)
            if low == high and 0 < low < 11:
                found.append(f"{month}: {group} is {low}")
    return found


@pytest.fixture(scope="module", params=["duckdb", pytest.param("postgres", marks=pytest.mark.postgres)])
def clinics(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Cells], tuple[Cells, dict[int, dict[Group, int]]]]:
    """Gives what the model tells of a made-up clinic, and how many persons of each group were seen in each year."""
    postgres = None if request.param == "duckdb" else request.getfixturevalue("new_postgres_database")()
    made = MadeUpHistory(tmp_path_factory.mktemp("cells"), postgres)
    made.run(
        "create table int_patients__released (patient_key uuid, release_key uuid)",
        "create table dim_released_patients (patient_key uuid, age_group varchar, gender varchar, state varchar)",
        "create table fct_encounters (patient_key uuid, event_date date, is_entered_in_error boolean, "
        "encounter_status varchar)",
    )
    model = re.sub(r"{{ ref\('(\w+)'\) }}", r"\1", _MODEL.read_text(encoding="utf-8"))

    def clinic(seen: Cells) -> tuple[Cells, dict[int, dict[Group, int]]]:
        # Of a group always the first persons come, so that the persons of a year are no more than in its largest month.
        most = Counter[Group]()
        in_years = defaultdict[int, dict[Group, int]](dict)
        for month, cells in seen.items():
            for group, number in cells.items():
                most[group] = max(most[group], number)
                in_years[month.year][group] = max(in_years[month.year].get(group, 0), number)
        keys = {(group, each): uuid.uuid4() for group, number in most.items() for each in range(number)}
        persons = [f"('{key}', '{group[0]}', '{group[1]}', '{group[2]}')" for (group, _), key in keys.items()]
        visits = [
            f"('{keys[group, each]}', date '{month}', false, 'finished')"
            for month, cells in seen.items()
            for group, number in cells.items()
            for each in range(number)
        ]
        pairs = [f"('{key}', '{key}')" for key in keys.values()]
        for table, rows in (
            ("int_patients__released", pairs), ("dim_released_patients", persons), ("fct_encounters", visits),
        ):  # fmt: skip
            made.run(f"delete from {table}", f"insert into {table} values {', '.join(rows)}")
        told = defaultdict[date, dict[Group, int]](dict)
        for _, month, age, gender, state, number in made.model(model):
            told[month][age, gender, state] = number
        return dict(told), dict(in_years)

    return clinic


@pytest.mark.parametrize("seed", range(8))
def test_no_small_cell_is_found(
    clinics: Callable[[Cells], tuple[Cells, dict[int, dict[Group, int]]]], seed: int
) -> None:
    chance = random.Random(seed)
    groups = [(age, sex, area) for age in ("0-17", "90+") for sex in ("female", "male") for area in ("000", "660")]
    seen: Cells = {}
    for year in range(2000, 2012):
        for number in chance.sample(range(1, 13), chance.choice([1, 2, 2, 3, 6])):
            size = chance.choice([3, 12, 12, 30])
            some = chance.sample(groups, chance.randint(1, len(groups)))
            seen[date(year, number, 1)] = {group: chance.randint(1, size) for group in some}
    told, in_years = clinics(seen)
    assert found_by_an_attacker(told, in_years, set(seen)) == []
    for month, cells in told.items():
        assert sum(cells.values()) == sum(seen[month].values()) >= 11
        assert all(number >= 11 for number in cells.values())
        assert {group: number for group, number in cells.items() if group != _SUPPRESSED}.items() <= seen[month].items()
    assert 0 < len(told) < len(seen)


def test_an_attacker_finds_what_is_told_carelessly() -> None:
    """The attack works: on one suppressed cell, on all persons of a year, and on a month that is told whole."""
    one, two, three = ("a", "b", "c"), ("a", "b", "d"), ("a", "b", "e")
    january, february = date(2024, 1, 1), date(2024, 2, 1)
    year = {one: 3, two: 15, three: 20}
    alone = {january: {two: 15, three: 20, _SUPPRESSED: 3}, february: {three: 20, _SUPPRESSED: 12}}
    assert len(found_by_an_attacker(alone, {2024: year}, {january, february})) == 1
    full = {january: {three: 20, _SUPPRESSED: 18}, february: {three: 20, _SUPPRESSED: 12}}
    assert found_by_an_attacker(full, {2024: year}, {january, february}) == ["2024-01-01: ('a', 'b', 'c') is 3"]
    whole = {january: {three: 20, _SUPPRESSED: 11}, february: {two: 15, three: 20}}
    assert found_by_an_attacker(whole, {2024: year}, {january, february}) == ["2024-01-01: ('a', 'b', 'c') is 3"]


@pytest.mark.slow
def test_no_small_cell_of_the_clinic_is_found(clinic: Path, built: Path) -> None:
    told = defaultdict[date, dict[Group, int]](dict)
    for month, age, gender, state, number in asked(
        built, "select month_date, age_group, gender, state, person_count from healthcare_safe.agg_population__monthly"
    ):
        told[month][age, gender, state] = number
    in_years = defaultdict[int, dict[Group, int]](dict)
    for year, age, gender, state, number in asked(
        built,
        """select event_year, age_group, gender, state, count(distinct patient_key)
        from healthcare_safe.fct_released_encounters
        inner join healthcare_safe.dim_released_patients using (patient_key)
        where encounter_status in ('in-progress', 'onleave', 'finished')
        group by all""",
    ):
        in_years[year][age, gender, state] = number
    months = {
        date.fromisoformat(f"{month}-01")
        for (month,) in truth(
            clinic,
            "select distinct substr(started_date, 1, 7) from truth_encounters "
            "where status in ('finished', 'in-progress')",
        )
    }
    months = {month for month in months if month.year in in_years}
    assert told and found_by_an_attacker(dict(told), dict(in_years), months) == []
