"""What is released of persons has no column that might hold what somebody wrote.

A schema whose name ends in `_safe` is made of a folder `models/marts/<domain>/safe/` (docs/decisions/safe-harbor.md).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.project.files import entries, files_in, named

ROOT = Path(__file__).resolve().parents[2]
_NEVER = {"name", "names", "display", "narrative", "text", "note", "address", "identifier", "id", "token", "email",
          "phone", "string", "comment"}  # fmt: skip
_CLOSED = {"accepted_values", "relationships"}


def open_columns(root: Path) -> list[str]:
    """The columns of released models that are named after what somebody writes, or are texts of no closed list."""
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
                    if str(column.get("data_type")).startswith(("timestamp", "json")):
                        found.append(f"{where} is a {column['data_type']}")
    return found


def _is_closed(column: dict[str, Any]) -> bool:
    tests = {test if isinstance(test, str) else next(iter(test)) for test in column.get("data_tests") or []}
    return bool(tests & _CLOSED) or "closed" in str(column.get("description"))


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
