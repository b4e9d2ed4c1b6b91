"""Reference data of healthcare against what they are of: units by UCUM's own definitions, areas by the census."""

from __future__ import annotations

import csv
import re
from fractions import Fraction

import pytest

from ingestion.project import PROJECT_ROOT
from tests.absent import absent
from tests.healthcare.marts.care import SHARED

SEEDS = PROJECT_ROOT / "seeds/healthcare"

# By the tables of UCUM 2.1: each unit by its dimension and its size in that dimension's own unit.
_PREFIXES = {
    "k": Fraction(1000), "d": Fraction(1, 10), "c": Fraction(1, 100), "m": Fraction(1, 10**3), "u": Fraction(1, 10**6),
    "n": Fraction(1, 10**9), "p": Fraction(1, 10**12), "f": Fraction(1, 10**15),
}  # fmt: skip
_FOOT = 12 * Fraction(254, 10**4)
_POUND = Fraction("0.45359237") * 1000
_ATOMS: dict[str, tuple[str, Fraction]] = {
    "g": ("mass", Fraction(1)), "m": ("length", Fraction(1)), "s": ("time", Fraction(1)),
    "L": ("length3", Fraction(1, 1000)), "mol": ("amount", Fraction(1)), "eq": ("equivalents", Fraction(1)),
    "osm": ("osmoles", Fraction(1)), "U": ("catalytic", Fraction(1)), "[IU]": ("arbitrary", Fraction(1)),
    "[lb_av]": ("mass", _POUND), "[oz_av]": ("mass", _POUND / 16), "[in_i]": ("length", _FOOT / 12),
    "[ft_i]": ("length", _FOOT), "min": ("time", Fraction(60)), "h": ("time", Fraction(3600)),
    "d": ("time", Fraction(86400)), "wk": ("time", Fraction(7 * 86400)), "a": ("time", Fraction("365.25") * 86400),
    "mo": ("time", Fraction("365.25") * 86400 / 12), "Hz": ("time-1", Fraction(1)), "Pa": ("pressure", Fraction(1)),
    "m[Hg]": ("pressure", Fraction("133.322") * 1000), "%": ("percent", Fraction(1)), "[pH]": ("acidity", Fraction(1)),
    "mm3": ("length3", Fraction(1, 10**9)), "m2": ("length2", Fraction(1)), "1": ("", Fraction(1)),
    "Cel": ("temperature", Fraction(1)), "K": ("temperature", Fraction(1)), "[degF]": ("temperature", Fraction(5, 9)),
}  # fmt: skip
# Where the scales of temperature have their zero, in degrees Celsius.
_ZEROS = {"Cel": Fraction(0), "K": Fraction("-273.15"), "[degF]": Fraction(-32) * Fraction(5, 9)}


def _atom(text: str) -> tuple[str, Fraction]:
    if power := re.fullmatch(r"10\*(\d+)", text):
        return "", Fraction(10) ** int(power[1])
    if text in _ATOMS:
        return _ATOMS[text]
    dimension, size = _ATOMS[text[1:]]
    return dimension, _PREFIXES[text[0]] * size


def _size(unit: str) -> tuple[tuple[str, str], Fraction]:
    """The dimensions above and below, and the size, of a unit of at most one division."""
    above, _, below = unit.partition("/")
    (over, size), (under, divisor) = _atom(above or "1"), _atom(below or "1")
    return (over, under) if not over.endswith("-1") else ("", over.removesuffix("-1")), size / divisor


def _rows(name: str) -> list[dict[str, str]]:
    with (SEEDS / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("row", _rows("ucum_units.csv"), ids=lambda row: row["unit_code"])
def test_units_are_ucums(row: dict[str, str]) -> None:
    (dimension, size), (canonical, canonical_size) = _size(row["unit_code"]), _size(row["canonical_unit_code"])
    assert dimension == canonical
    factor = Fraction(int(row["factor_numerator"]), int(row["factor_denominator"]))
    assert factor == size / canonical_size
    zero = _ZEROS.get(row["unit_code"], Fraction(0)) - _ZEROS.get(row["canonical_unit_code"], Fraction(0))
    assert Fraction(row["added_before"]) * factor == zero


def test_canonical_units_are_their_own() -> None:
    rows = {row["unit_code"]: row for row in _rows("ucum_units.csv")}
    for row in rows.values():
        own = rows[row["canonical_unit_code"]]
        assert (own["canonical_unit_code"], own["factor_numerator"], own["factor_denominator"]) == (
            own["unit_code"], "1", "1",
        )  # fmt: skip


def test_areas_are_populous_by_the_census(request: pytest.FixtureRequest) -> None:
    """More than 20,000 people, by 45 CFR 164.514(b)(2)(i)(B)."""
    file = SHARED / "reference/zip3_population_2010.csv"
    if not file.exists():
        absent(request, "THE CENSUS FIGURES ARE NOT HERE: AREAS OF POSTAL CODES NOT TESTED")
    with file.open(encoding="utf-8", newline="") as lines:
        expected = {row["zip3"]: str(int(row["population_2010"]) > 20_000).lower() for row in csv.DictReader(lines)}
    assert {row["zip3"]: row["is_populous"] for row in _rows("zip3_areas.csv")} == expected
