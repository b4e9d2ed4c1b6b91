"""What is released of persons has no column that might hold what somebody wrote, be it a text or a number.

A schema whose name ends in `_safe` is made of a folder `models/marts/<domain>/safe/` (docs/decisions/safe-harbor.md).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.project.files import entries, files_in, named

ROOT = Path(__file__).resolve().parents[2]
_NEVER = {"name", "names", "display", "narrative", "text", "note", "address", "identifier", "id", "token", "email",
          "phone", "string", "comment"}  # fmt: skip
_NUMBERS = ("smallint", "integer", "bigint", "numeric", "decimal", "real", "double", "float")
_CLOSED = {"accepted_values", "relationships"}
# What bounds a number where the model makes the column: `{{ released_count(…) }} as dose_number`.
_BOUNDED = r"\{\{\s*released_(?:year|count|quantity)\((?:(?!\}\}).)*\}\} as %s\b"


def open_columns(root: Path) -> list[str]:
    """The columns of released models that are named after what somebody writes, or are texts of no closed list or
    numbers without a bound."""
    found = []
    for path in files_in(root, "models/marts", ".yml"):
        if path.parent.name == "safe":
            for model in entries(path, "models"):
                for column in model.get("columns") or []:
                    where = f"{named(root, path)}: {model['name']}.{column['name']}"
                    if set(str(column["name"]).split("_")) & _NEVER:
                        found.append(f"{where} is named after what somebody writes")
                    if column.get("data_type") == "text" and not _is_closed(column):
                        found.append(f"{where} is a text: test its values, or say in its description what closes it")
                    if str(column.get("data_type")).startswith(_NUMBERS) and not _is_bounded(path, model, column):
                        found.append(f"{where} is a number: bound it, or say in its description what bounds it")
                    if str(column.get("data_type")).startswith(("timestamp", "json")):
                        found.append(f"{where} is a {column['data_type']}")
    return found


def _is_closed(column: dict[str, Any]) -> bool:
    tests = {test if isinstance(test, str) else next(iter(test)) for test in column.get("data_tests") or []}
    return bool(tests & _CLOSED) or "closed" in str(column.get("description"))


def _is_bounded(path: Path, model: dict[str, Any], column: dict[str, Any]) -> bool:
    sql = path.with_name(f"{model['name']}.sql")
    made = sql.read_text(encoding="utf-8") if sql.exists() else ""
    bounded = re.search(_BOUNDED % re.escape(str(column["name"])), made, re.DOTALL)
    return bounded is not None or "bounded" in str(column.get("description"))


def test_released_columns_are_closed() -> None:
    assert open_columns(ROOT) == []
    models = [model for path in files_in(ROOT, "models/marts", ".yml") if path.parent.name == "safe"
              for model in entries(path, "models")]  # fmt: skip
    assert len(models) == len([*ROOT.glob("models/marts/*/safe/*.sql")])
    assert all(model["config"]["meta"]["access"] == "research" for model in models)


@pytest.mark.parametrize(
    ("column", "says"),
    [
        ("{name: family_name, data_type: text, description: closed}", "named after"),
        ("{name: patient_id, data_type: uuid}", "named after"),
        ("{name: status, data_type: text, description: Where it stands.}", "is a text"),
        ("{name: night_count, data_type: bigint, description: Nights.}", "is a number"),
        ("{name: seen_at, data_type: timestamp}", "is a timestamp"),
    ],
)
def test_an_open_column_is_found(column: str, says: str, tmp_path: Path) -> None:
    folder = tmp_path / "models" / "marts" / "care" / "safe"
    folder.mkdir(parents=True)
    text = f"models:\n  - name: dim_people\n    columns: [{column}]\n"
    (folder / "dim_people.yml").write_text(text, encoding="utf-8")
    (problem,) = open_columns(tmp_path)
    assert says in problem


@pytest.mark.parametrize(
    ("select", "is_bounded"),
    [
        ("{{ released_count('stays.night_count', most_nights()) }} as night_count,", True),
        ("{{ released_quantity(\n    'stays.nights', 'units.code'\n) }} as night_count", True),
        ("stays.night_count,\n{{ released_year('stays.day', 'year') }} as event_year", False),
        ("{{ released_count('stays.night_count', 9) }} as dose_number,\n{{ nights() }} as night_count", False),
    ],
)
def test_a_number_is_bounded_where_it_is_made(select: str, is_bounded: bool, tmp_path: Path) -> None:
    folder = tmp_path / "models" / "marts" / "care" / "safe"
    folder.mkdir(parents=True)
    text = "models:\n  - name: fct_stays\n    columns: [{name: night_count, data_type: bigint, description: Nights.}]\n"
    (folder / "fct_stays.yml").write_text(text, encoding="utf-8")
    (folder / "fct_stays.sql").write_text(f"select {select}", encoding="utf-8")
    assert open_columns(tmp_path) == [] if is_bounded else "is a number" in open_columns(tmp_path)[0]
