"""The contract's type of a column of a database."""

from __future__ import annotations

import re
from collections.abc import Sequence

from warehouse.project.scaffold.found import FRACTIONS, FoundColumn

_INTEGERS = re.compile(r"(tiny|small|medium|big)?int(eger|[248])?\b|year")


def data_type(column: FoundColumn) -> str:
    """The contract's type. What it has none for is text, as the source writes it."""
    kind = column.kind
    if match := re.match(r"(?:numeric|decimal)\((\d+)(?:,\s*(\d+))?\)", kind):
        precision, scale = int(match[1]), int(match[2] or 0)
        return f"numeric({precision},{scale})" if precision <= 38 else "text"
    if kind.startswith(FRACTIONS):
        return _fitting(column.sample, not kind.startswith(("numeric", "decimal")))
    if kind == "tinyint(1)" or kind.startswith("bool"):
        return "boolean"
    if _INTEGERS.match(kind):
        return "numeric(20,0)" if kind.startswith("bigint") and "unsigned" in kind else "bigint"
    if kind.endswith("serial"):
        return "bigint"
    if kind == "date":
        return "date"
    return "timestamp" if kind.startswith(("timestamp", "datetime")) else "text"


def _fitting(sample: Sequence[str], is_float: bool) -> str:
    """A decimal that holds what the sample has, with room for larger ones; text where none does."""
    digits = [re.fullmatch(r"-?(\d+)(?:\.(\d+))?", value) for value in sample]
    if not all(digits):
        return "text"
    scale = max((len((match[2] or "").rstrip("0")) for match in digits if match), default=0)
    whole = max((len(match[1]) for match in digits if match), default=1)
    scale = max(scale, 6 if is_float else 2)
    # A binary float keeps 15 digits of a decimal: one with more is none, and its text is all that can be had.
    longest = max((len((match[1] + (match[2] or "")).strip("0")) for match in digits if match), default=0)
    fits = whole + scale <= 34 and (not is_float or longest <= 15)
    return f"numeric({min(38, max(18, whole + 4 + scale))},{scale})" if fits else "text"
