"""The forms that a contract may ask of a text by name (`contract: {format: email}`), as conditions in DuckDB."""

from __future__ import annotations

from collections.abc import Callable

from ingestion.sql import folded

# A practical reading of RFC 5321/5322: one @, a dotted domain, no blanks. Quoted local parts are not accepted.
EMAIL = r"^[a-z0-9.!#$%&''*+/=?^_`{|}~-]+@[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+$"
# HL7 version 2's data types TS, DTM and DT (chapter 2A): a year at least, each part only after the one before, and an
# offset, of 14 hours at most.
HL7_TIME = (
    r"[0-9]{4}(?:(?:0[1-9]|1[0-2])(?:(?:0[1-9]|[12][0-9]|3[01])(?:(?:[01][0-9]|2[0-3])"
    r"(?:[0-5][0-9](?:[0-5][0-9](?:\.[0-9]+)?)?)?)?)?)?(?:[+-](?:0[0-9]|1[0-4])[0-5][0-9])?"
)


def is_email(text: str) -> str:
    """A condition: the text is an address of mail, with blanks around it or in capitals as it may be."""
    return f"regexp_matches({folded(text)}, '{EMAIL}')"


def is_hl7_time(text: str) -> str:
    """A condition: the text is a time as HL7 version 2 writes it, such as 20141006064500+0700, of a day that exists."""
    day = f"substr({text}, 1, 4) || '-' || substr({text}, 5, 2) || '-' || substr({text}, 7, 2)"
    exists = f"try_cast({day} as date) is not null"
    # Up to the 28th, every month has the day: few have to be looked up.
    is_late = f"substr({text}, 7, 2) between '29' and '31' and regexp_matches({text}, '^[0-9]{{8}}')"
    is_time = f"regexp_full_match({text}, '{HL7_TIME}') and {text} >= '0001'"
    return f"({is_time} and case when {is_late} then {exists} else true end)"


# By the names that a contract may say, what makes the condition of an expression of the text.
FORMATS: dict[str, Callable[[str], str]] = {"email": is_email, "hl7_time": is_hl7_time}
