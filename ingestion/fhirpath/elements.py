"""What an element of FHIR R4 is: its type, and whether there may be several. `elements.yml` says it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

# An element's name: birthDate, or _birthDate for what is said beside its value.
NAME = r"_?[A-Za-z]\w*"

# Types whose values are JSON's numbers.
NUMBERS = frozenset({"decimal", "integer", "positiveInt", "unsignedInt", "integer64"})

# Types whose values are points or spans of time, as text.
TIMES = frozenset({"date", "dateTime", "instant", "time"})


@dataclass(frozen=True)
class Element:
    """An element's type, such as `code` or `CodeableConcept`, and whether it is a list."""

    type: str
    is_list: bool


@cache
def _types() -> dict[str, dict[str, Element]]:
    written = yaml.safe_load(Path(__file__).with_name("elements.yml").read_text(encoding="utf-8"))
    return {
        name: {
            element: Element(kind.rstrip("*"), kind.endswith("*"))
            for element, kind in (entry.split() for entry in elements.split(","))
        }
        for name, elements in written.items()
    }


def is_primitive(name: str) -> bool:
    """Whether a type's values are single texts, numbers or booleans: FHIR writes these in small letters."""
    return name[:1].islower()


def element(of: str | None, name: str) -> Element | None:
    """The element `name` of a type or a resource, or None where it isn't known: then it may be anything."""
    if of is None or is_primitive(of):
        return None
    return _types().get(of, {}).get(name) or _types()["Any"].get(name)
