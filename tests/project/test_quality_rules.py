"""The catalogue lists every test, says of each what it says of itself, and lists no other.

It is docs/quality-rules.md, and of each domain `tests/data/<domain>/README.md`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CATALOGUE = ("docs/quality-rules.md", "tests/data/*/README.md")

# What dbt brings along; own generic tests are the files of tests/generic/.
BUILT_IN = {"unique", "not_null", "accepted_values", "relationships"}

COLUMNS = ["rule", "test", "dimension", "severity", "who mends it"]


@dataclass(frozen=True)
class Known:
    """A test of the project. Generic tests are told by their kind; dimension and severity differ from use to use."""

    name: str
    dimension: str | None = None
    severity: str | None = None


def _yaml_documents(root: Path) -> list[dict[str, Any]]:
    paths = sorted(path for folder in ("models", "snapshots", "seeds") for path in (root / folder).rglob("*.yml"))
    return [yaml.safe_load(path.read_text(encoding="utf-8")) or {} for path in paths]


def _generic_tests(document: dict[str, Any]) -> set[str]:
    """The kinds of the data tests of every resource and column of a YAML file."""
    found: set[str] = set()
    entries = [entry for kind in ("models", "snapshots", "seeds") for entry in document.get(kind) or []]
    entries += [table for source in document.get("sources") or [] for table in source.get("tables") or []]
    entries += [column for entry in entries for column in entry.get("columns") or []]
    for entry in entries:
        found |= {test if isinstance(test, str) else next(iter(test)) for test in entry.get("data_tests") or []}
    return found


def known_tests(root: Path) -> dict[str, Known]:
    """Every singular test, unit test and kind of generic test in the project, by name."""
    found = {}
    for path in sorted((root / "tests/data").rglob("*.sql")):
        text = path.read_text(encoding="utf-8")
        dimension = re.search(r"'quality_dimension':\s*'(\w+)'", text)
        severity = re.search(r"severity='(\w+)'", text)
        found[path.stem] = Known(
            path.stem, dimension[1] if dimension else "missing", severity[1] if severity else "error"
        )
    found |= {path.stem: Known(path.stem) for path in (root / "tests/generic").glob("*.sql")}
    for document in _yaml_documents(root):
        for test in document.get("unit_tests") or []:
            meta = (test.get("config") or {}).get("meta") or {}
            found[test["name"]] = Known(test["name"], meta.get("quality_dimension", "missing"), "error")
        found |= {kind: Known(kind) for kind in _generic_tests(document)}
    return found


def rows_of(text: str) -> list[dict[str, str]]:
    """The rows of the catalogue's tables, those whose header is `COLUMNS`."""
    rows: list[dict[str, str]] = []
    inside = False
    for line in text.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
        if not line.startswith("|"):
            inside = False
        elif cells == COLUMNS:
            inside = True
        elif inside and not re.fullmatch(r"[|\s:-]+", line):
            assert len(cells) == len(COLUMNS), f"not {len(COLUMNS)} cells: {line}"
            rows.append(dict(zip(COLUMNS, cells, strict=True)))
    return rows


def disagreements(tests: dict[str, Known], text: str) -> list[str]:
    """What the catalogue leaves out, invents or says otherwise, one line each."""
    found = []
    listed: set[str] = set()
    for row in rows_of(text):
        for name in re.findall(r"`(\w+)`", row["test"]):
            listed.add(name)
            test = tests.get(name)
            if test is None:
                found.append(f"{name}: is in the catalogue, but there is no such test")
                continue
            for what in ("dimension", "severity"):
                true = getattr(test, what)
                if true is not None and row[what] != true:
                    found.append(f"{name}: the catalogue says {row[what]}, the test {true}")
    return found + [f"{name}: is not in the catalogue" for name in sorted(set(tests) - listed)]


def test_the_catalogue_lists_every_test() -> None:
    parts = sorted(path for each in CATALOGUE for path in ROOT.glob(each))
    assert disagreements(known_tests(ROOT), "\n".join(path.read_text(encoding="utf-8") for path in parts)) == []


def test_every_generic_test_of_our_own_is_used() -> None:
    own = {path.stem for path in (ROOT / "tests/generic").glob("*.sql")}
    projects = (ROOT, ROOT / "tests/tiny/project")
    used = {kind for each in projects for document in _yaml_documents(each) for kind in _generic_tests(document)}
    assert used - BUILT_IN == own


SOUND = """
| rule | test | dimension | severity | who mends it |
| --- | --- | --- | --- | --- |
| Totals are totals. | `totals__add_up` | accuracy | warn | the shop |
| Keys are keys. | `unique` | consistency | error | the model's owner |

| another | table |
| --- | --- |
| `not_a_test` | |
"""
TESTS = {"totals__add_up": Known("totals__add_up", "accuracy", "warn"), "unique": Known("unique")}


def test_a_true_catalogue_is_accepted() -> None:
    assert disagreements(TESTS, SOUND) == []


@pytest.mark.parametrize(
    ("planted", "says"),
    [
        (SOUND.replace("`totals__add_up`", "`totals`"), "there is no such test"),
        (SOUND.replace("| warn |", "| error |"), "the catalogue says error, the test warn"),
        (SOUND.replace("| accuracy |", "| validity |"), "the catalogue says validity, the test accuracy"),
        (SOUND.replace("`unique`", ""), "unique: is not in the catalogue"),
    ],
)
def test_a_false_catalogue_is_found(planted: str, says: str) -> None:
    assert any(says in line for line in disagreements(TESTS, planted))
