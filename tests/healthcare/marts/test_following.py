"""Marts of care that were built load by load are those that are built at once, on either engine.

Persons that become one or two, versions that come late, codes and members that are only named: whatever a later load
concerns, the facts have followed it, and so has what is released, under the same keys.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.healthcare.marts.care import RELEASE, build_care
from tests.warehouses import differences, opened

pytestmark = pytest.mark.slow

# After the second build each of the two generations has been made once; from then on it is followed.
_STEPS = (60, 75, 90, 100)


def drawn(built: Path, file: Path) -> Path:
    """The keys under which a warehouse releases persons, in a file from which another has them."""
    with opened(built) as connection:
        connection.execute(
            "copy (select source_id, person_id, cast(release_key as varchar) as release_key "
            f"from build.raw_release_keys.keys) to '{file}' (header)"
        )
    return file


# On Postgres the paths of `make prove DOMAIN=healthcare` say so, too.
@pytest.mark.parametrize("engine", ["duckdb", pytest.param("postgres", marks=pytest.mark.battery)])
def test_load_by_load_as_at_once(
    engine: str, clinic: Path, built: Path, tmp_path: Path, new_server: Callable[[], dict[str, str]]
) -> None:
    server = new_server() if engine == "postgres" else None
    days = sorted((clinic / "systems/fhir").iterdir())
    delivered, before = tmp_path / "delivered", 0
    keys = drawn(built, tmp_path / "keys.csv")
    for step in _STEPS:
        for day in days[before:step]:
            shutil.copytree(day, delivered / "fhir" / day.name)
            for file in (clinic / "systems/lab").glob(f"*{day.name.replace('-', '')}*"):
                (delivered / "lab").mkdir(exist_ok=True)
                shutil.copy2(file, delivered / "lab")
        before = step
        more = {"SOURCES__RELEASE_KEYS__KEYS": str(keys), **(RELEASE if step == _STEPS[0] else {})}
        warehouse = build_care(tmp_path / "warehouse", delivered / "fhir", delivered / "lab", server, more=more)
    assert len(list((delivered / "lab").iterdir())) == len(list((clinic / "systems/lab").iterdir()))
    assert differences(built, warehouse, least=8) == {}
