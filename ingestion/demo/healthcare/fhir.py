"""Parts of FHIR R4 resources, and their text.

A number that must keep its text, such as 2.50, is a `number`: JSON's own would lose the zero.
"""

from __future__ import annotations

import json
import re
from typing import Any

from .vocabulary import LOINC, SNOMED, TERMS, UCUM

Resource = dict[str, Any]

_NUMBER = re.compile(r'"#(-?[0-9.]+)#"')


def number(text: str) -> str:
    """A decimal that is written as it stands."""
    return f"#{text}#"


def text_of(resource: Resource) -> str:
    """A resource as one line of JSON."""
    return _NUMBER.sub(r"\1", json.dumps(resource, ensure_ascii=False, separators=(",", ":")))


def coding(system: str, code: str, display: str | None = None) -> Resource:
    """A Coding."""
    return {"system": system, "code": code} | ({"display": display} if display else {})


def concept(system: str, code: str, display: str | None = None) -> Resource:
    """A CodeableConcept of one coding."""
    return {"coding": [coding(system, code, display)]} | ({"text": display} if display else {})


def term(name: str, code: str) -> Resource:
    """A CodeableConcept of one of HL7's own code systems."""
    return {"coding": [coding(f"{TERMS}/{name}", code)]}


def snomed(code: str, display: str) -> Resource:
    """A CodeableConcept of SNOMED CT."""
    return concept(SNOMED, code, display)


def loinc(code: str, display: str) -> Resource:
    """A CodeableConcept of LOINC."""
    return concept(LOINC, code, display)


def quantity(value: str, unit: str) -> Resource:
    """A Quantity in a UCUM unit."""
    return {"value": number(value), "unit": unit, "system": UCUM, "code": unit}


def reference(resource_type: str, resource_id: str, display: str | None = None) -> Resource:
    """A Reference."""
    return {"reference": f"{resource_type}/{resource_id}"} | ({"display": display} if display else {})
