"""Money as people read it: with as many digits as its currency has."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

from ingestion.destination.target import Target
from ingestion.domains import variables
from ingestion.sql import literal
from warehouse.reading.query import ask

# What a metric says in `config.meta.unit` whose amounts are in it.
REPORTING_CURRENCY = "reporting_currency"
_WIDE = Context(prec=60)  # the widest decimal of an engine has 38 digits before its point


@dataclass(frozen=True)
class Currency:
    """A currency's code and the digits after the point of its amounts, by ISO 4217."""

    code: str
    digits: int


def reporting_currency(target: Target, connection: Any) -> Currency:
    """The currency that the project reports in, over a connection to the published marts.

    One that `core.dim_currencies` gives no digits for has two, as most have.
    """
    code = str(variables(target.project)[REPORTING_CURRENCY])
    currencies = f"{target.schema('core')}.dim_currencies"
    rows = ask(connection, f"select minor_units from {currencies} where currency_code = {literal(code)}")[1]
    known = [digits for (digits,) in rows if digits is not None]
    return Currency(code, known[0] if known else 2)


def rounded(value: int | float | Decimal, digits: int) -> Decimal:
    """An amount with so many digits after the point, a half away from zero."""
    return Decimal(str(value)).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP, _WIDE)
