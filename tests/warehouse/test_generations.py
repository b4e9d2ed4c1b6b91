"""Generations: held back, compared, published, rolled back; on both engines by the same steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from ingestion.demo.commerce import next_day, serving, simulate
from ingestion.destination.target import current_target
from tests.warehouse.warehouses import build_from, settings
from warehouse.build.build import Request, publish_held_build, roll_back_build
from warehouse.build.diff import show_difference
from warehouse.database import open_database
from warehouse.errors import BuildError

pytestmark = pytest.mark.slow


class Company:
    """A small company and its warehouse on one engine."""

    def __init__(self, folder: Path, engine: Mapping[str, str]):
        self.systems, self.folder, self.engine = folder / "company", folder / "warehouse", engine
        simulate(self.systems, 12, scale=0.1)

    def build(self, request: Request = Request()) -> list[str]:  # noqa: B008
        with serving(self.systems, faults=[]) as systems:
            return build_from(self.folder, {**systems, **self.engine}, request, tested=False)

    @contextmanager
    def entered(self) -> Iterator[None]:
        with settings({"TARGET": "dev", **self.engine, "WAREHOUSE_DIR": str(self.folder)}):
            yield

    def published(self) -> tuple[int, int, int]:
        """What readers see: the generation's number, its loads, the orders."""
        with self.entered(), open_database(current_target()) as database:
            numbers = [
                database.run(f"select {value} from {database.published(schema, table)}")[0][0]
                for value, schema, table in (
                    ("max(generation_number)", "ops", "generation"),
                    ("count(*)", "ops", "generation_loads"),
                    ("count(*)", "commerce", "fct_orders"),
                )
            ]
        return numbers[0], numbers[1], numbers[2]


@pytest.fixture(params=["duckdb", pytest.param("postgres", marks=pytest.mark.postgres)])
def company(request: pytest.FixtureRequest, tmp_path: Path) -> Company:
    engine = {} if request.param == "duckdb" else {**request.getfixturevalue("postgres_database"), "TARGET": "prod"}
    return Company(tmp_path, engine)


def test_a_generation_is_held_back_compared_published_and_rolled_back(company: Company) -> None:
    company.build()
    with company.entered(), pytest.raises(BuildError, match="no generation before"):
        roll_back_build(current_target(), lambda line: None)
    number, loads, orders = company.published()
    assert (number, orders > 0) == (1, True)

    next_day(company.systems, 1)
    company.build(Request(hold=True))
    assert company.published() == (1, loads, orders), "readers see nothing of a generation that is held back"
    lines: list[str] = []
    with company.entered():
        found = {each.table: each for each in show_difference(current_target(), lines.append)}
    assert "held back, compared with generation 1" in lines[0]
    day = found["commerce.fct_orders"]
    assert day.added > 0 and day.removed == 0
    assert "order_status" in day.columns and day.columns["order_status"] <= day.changed

    with company.entered():
        publish_held_build(current_target(), lines.append)
        with pytest.raises(BuildError, match="no generation is held back"):
            publish_held_build(current_target(), lines.append)
    number, more_loads, more_orders = company.published()
    assert number == 2 and more_loads > loads and more_orders == orders + day.added

    with company.entered():
        roll_back_build(current_target(), lines.append)
        assert company.published() == (1, loads, orders)
        with pytest.raises(BuildError, match="rolled back to already"):
            roll_back_build(current_target(), lines.append)

    # The build after a rollback goes on from what was loaded, under a number that was never used.
    company.build()
    assert company.published() == (3, more_loads, more_orders)
    next_day(company.systems, 1)
    company.build(Request(select="stg_shop__orders"))
    with company.entered(), pytest.raises(BuildError, match="a later build has begun"):
        roll_back_build(current_target(), lines.append)
    assert company.published() == (3, more_loads, more_orders)


def test_the_second_build_on_duckdb_goes_on_from_a_copy_of_the_first(tmp_path: Path) -> None:
    """What it isn't asked to build is there, in full."""
    company = Company(tmp_path, {})
    company.build()
    assert not (company.folder / "warehouse__next.duckdb").exists()
    company.build(Request(select="dim_products+"))
    with company.entered(), open_database(current_target()) as database:
        for table in ("dim_customers", "fct_orders"):
            rows = [
                database.run(f"select count(*) from {name}")[0][0]
                for name in (database.next("commerce", table), database.published("commerce", table))
            ]
            assert rows[0] == rows[1] > 0
