"""Same raw, same marts: whatever way the records came, the published tables are the same."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ingestion.demo.commerce import next_day, serving, simulate
from tests.warehouse.warehouses import build_from, build_from_demo, differences, opened
from warehouse.build.build import Request

pytestmark = pytest.mark.slow

START, STEPS, DAYS_A_STEP = 40, 3, 6


def without_accounts(systems: dict[str, str]) -> dict[str, str]:
    """Polling an API sees the states of the moment, so what raw holds of it depends on when it was polled."""
    return {name: value for name, value in systems.items() if "ACCOUNTS" not in name}


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A company that grew by steps: its folder, a warehouse fed at each step from all sources, one without accounts."""
    company = tmp_path_factory.mktemp("growing")
    everything, logged = tmp_path_factory.mktemp("everything"), tmp_path_factory.mktemp("logged")
    simulate(company, START, scale=0.3)
    for step in range(STEPS + 1):
        if step:
            next_day(company, DAYS_A_STEP)
        with serving(company, faults=[]) as systems:
            build_from(everything, systems, tested=step == STEPS, unit_tested=step == STEPS)
            build_from(logged, without_accounts(systems), tested=False)
    return company, everything, logged


def test_step_by_step_is_all_at_once(grown: tuple[Path, Path, Path], tmp_path: Path) -> None:
    company, _, logged = grown
    with serving(company, faults=[]) as systems:
        build_from(tmp_path, without_accounts(systems), tested=False)
    assert differences(logged, tmp_path) == {}


def test_a_forced_build_changes_nothing(grown: tuple[Path, Path, Path], tmp_path: Path) -> None:
    company, everything, _ = grown
    before = tmp_path / "before"
    before.mkdir()
    shutil.copyfile(everything / "warehouse.duckdb", before / "warehouse.duckdb")
    build_from_demo(everything, company, Request(full=True))
    assert differences(before, everything) == {}
    assert listed_orders(everything) == 0, "facts that are built in full ask for no list"


def listed_orders(folder: Path) -> int:
    """How many orders the facts were told to compute again."""
    with opened(folder) as connection:
        rows = connection.execute("select count(*) from build.intermediate.int_orders__touched").fetchall()
    return int(rows[0][0])


def test_nothing_new_builds_nothing(grown: tuple[Path, Path, Path]) -> None:
    company, _, logged = grown
    with serving(company, faults=[]) as systems:
        published = (logged / "warehouse.duckdb").stat()
        lines = build_from(logged, without_accounts(systems), tested=False)
    assert "nothing to build" in lines[-1]
    assert (logged / "warehouse.duckdb").stat().st_ino == published.st_ino


def test_a_changed_rule_rebuilds_what_it_concerns_in_either_generation(
    grown: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    """Forgetting the code that a fact was built with is as good as changing it: the fact is built in full."""
    company, _, logged = grown
    folder = tmp_path / "changed"
    shutil.copytree(logged, folder)
    import duckdb

    with duckdb.connect(str(folder / "warehouse__next.duckdb")) as connection:
        connection.execute("delete from commerce.fct_sales where line_type = 'sale'")
        connection.execute("update ops.seen_code set fingerprint = 'another' where relation_name = 'fct_sales'")
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        connection.execute("update ops.seen_code set fingerprint = 'another' where relation_name = 'fct_sales'")
    with serving(company, faults=[]) as systems:
        build_from(folder, without_accounts(systems), tested=False)
    assert differences(logged, folder) == {}


@pytest.mark.battery
def test_select_publishes_nothing(grown: tuple[Path, Path, Path], tmp_path: Path) -> None:
    company, _, logged = grown
    folder = tmp_path / "selected"
    shutil.copytree(logged, folder)
    next_company = tmp_path / "company"
    shutil.copytree(company, next_company)
    next_day(next_company, 1)
    inode = (folder / "warehouse.duckdb").stat().st_ino
    with serving(next_company, faults=[]) as systems:
        lines = build_from(
            folder, without_accounts(systems), Request(select="stg_shop__orders dim_products"), tested=False
        )
        assert any("nothing is published" in line for line in lines)
        assert (folder / "warehouse.duckdb").stat().st_ino == inode
        build_from(folder, without_accounts(systems), Request(select="int_orders__touched", full=True), tested=False)
        assert listed_orders(folder) > 0, "a list that is built in full alone is whole"
        build_from(folder, without_accounts(systems), tested=False)
        whole = tmp_path / "whole"
        build_from(whole, without_accounts(systems), tested=False)
    assert differences(folder, whole) == {}


def test_generations_are_numbered(grown: tuple[Path, Path, Path]) -> None:
    _, everything, _ = grown
    with opened(everything) as connection:
        row = connection.execute("select generation_number from ops.generation").fetchone()
    assert row is not None and row[0] >= STEPS + 1
