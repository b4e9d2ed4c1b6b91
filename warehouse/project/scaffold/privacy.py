"""What a column tells of a person, as far as its name and its values say so."""

from __future__ import annotations

import re

from ingestion.contract.contracts import UNDECIDED
from warehouse.project.scaffold.found import FRACTIONS, FoundColumn

# By a column's name, in raw's spelling. Who a person is, where to be reached, what stands for them.
_IDENTIFIES = re.compile(
    r"(^|_)(e?mail|phone|fax|mobile|tel|telephone|iban|bic|ssn|passport|tax_id|vat_id|username|login|password|"
    r"(first|last|middle|given|family|full|sur|maiden|contact|customer|person|user|employee|patient|holder)_?name|"
    r"street|address(_?line)?(_?\d)?|line_?\d|ip(_?address)?|account_(no|number)|card_(no|number)|license(_plate)?|"
    r"(tax|vat)_(no|number))($|_)"
)
_NARROWS_DOWN = re.compile(
    r"(^|_)(born|birth(_?(date|day))?|date_of_birth|dob|age|gender|sex|zip|postal_?code|postcode|city|town|region|county|"
    r"nationality|job_?title|lat|lon|lng|latitude|longitude|geo|location)($|_)"
)
_IS_NOBODYS = re.compile(
    r"(^|_)(salary|salaries|wages?|income|bonus|compensation|religion|religious|ethnicity|race|political|union_member|"
    r"health|diagnosis|disability|medical|blood_(type|group)|marital_status|sexual_orientation|credit_score)($|_)"
)
# Of those who have a record of their own.
_REACHES = re.compile(r"mail|phone|mobile|name|login")
# Where anything may stand, however few the values are so far.
_FREE = re.compile(
    r"(^|_)(names?|title|notes?|comments?|remarks?|memo|message|description|details?|info|reason|subject|body|text|"
    r"contact|person|author)($|_)"
)
# By what stands in it.
_VALUES = re.compile(r"^([^@\s]+@[^@\s]+\.[^@\s]+|\+?[0-9][0-9 ()/.-]{8,}[0-9]|[A-Z]{2}[0-9]{2}[A-Z0-9 ]{11,30})$")
_CODES = re.compile(r"(^|_)(id|code|sku|status|state|type|kind|currency|country|unit|locale|language|uuid|guid)$")


def is_called_or_reached_by(name: str) -> bool:
    """Whether a column's name says that people are called or reached by what stands in it."""
    return bool(_REACHES.search(name))


def published_privacy(privacy: str) -> str:
    """What a mart says of a column: the token in an identifier's place is no name any more, but still a person's."""
    return "quasi_identifier" if privacy == "direct_identifier" else privacy


def privacy_of(name: str, kind: str, column: FoundColumn, is_reference: bool) -> str:
    """What a column is proposed to tell of a person; UNDECIDED where nothing says that it is harmless.

    Args:
        name: raw's name of it.
        kind: its type in the contract.
        column: what was found.
        is_reference: whether it is a key, or refers to one.
    """
    values = column.sample
    if _IDENTIFIES.search(name):
        return "direct_identifier"
    if _NARROWS_DOWN.search(name):
        return "quasi_identifier"
    if _IS_NOBODYS.search(name):
        return "sensitive"
    if kind != "text" or column.kind.startswith(FRACTIONS):
        return "none"
    if values and sum(bool(_VALUES.match(value)) for value in values) * 5 > len(values):
        return UNDECIDED if is_reference else "direct_identifier"
    few = len(values) >= 20 and len(set(values)) * 10 <= len(values) and not _FREE.search(name)
    if column.values or is_reference or _CODES.search(name) or few or column.kind in ("uuid", "time", "interval"):
        return "none"
    return UNDECIDED
