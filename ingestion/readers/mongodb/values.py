"""Documents as lines of JSON, their values as the contract judges them: exact numbers, times in UTC, ids as text."""

from __future__ import annotations

import base64
import math
import uuid
from datetime import UTC, datetime
from typing import Any

from bson import Binary, Code, DatetimeMS, DBRef, Decimal128, ObjectId, Regex, Timestamp
from bson.binary import ALL_UUID_SUBTYPES

from ingestion.readers.documents import dumped


def line(document: Any) -> bytes:
    """A document as one line of JSON.

    An ObjectId is its 24 hexadecimal digits, a Decimal128 its digits, a date ISO 8601 in UTC to the millisecond, binary
    data base64, a UUID its usual form; a date that no calendar has is its milliseconds since 1970.
    """
    return dumped(_plain(document)) + b"\n"


def text_of(value: Any) -> str:
    """A value alone, such as a key, as `line` writes it and DuckDB reads it."""
    plain = _plain(value)
    return plain if isinstance(plain, str) else dumped(plain).decode()


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {str(name): _plain(each) for name, each in value.items()}
        case list():
            return [_plain(each) for each in value]
        case bool() | None | str():
            return value
        case int():
            return int(value)
        case float():
            # NaN is no JSON: as text, it is judged like any other.
            return value if math.isfinite(value) else str(value)
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="milliseconds")
        case Decimal128():
            return format(value.to_decimal(), "f") if value.to_decimal().is_finite() else str(value)
        case Binary() if value.subtype in ALL_UUID_SUBTYPES:
            return str(uuid.UUID(bytes=bytes(value)))
        case bytes():
            return base64.b64encode(value).decode()
        case Timestamp():
            return value.as_datetime().isoformat()
        case DatetimeMS():
            return int(value)
        case DBRef():
            return _plain(value.as_doc())
        case Regex():
            return str(value.pattern)
        case ObjectId() | uuid.UUID() | Code():
            return str(value)
    return str(value)
