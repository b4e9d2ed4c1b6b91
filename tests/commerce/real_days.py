"""The 152 real trading days: where they lie, and what plain SQL over the files counted in them."""

from __future__ import annotations

from decimal import Decimal

import duckdb

from ingestion.project import PROJECT_ROOT

# Beside the project and not in it: who has only a clone has no real days.
REAL_DAYS = PROJECT_ROOT.parent / "shared" / "data" / "online_retail" / "daily"

# From the README of the data, where they were counted apart from any code of this project.
FIGURES = {
    "count(*)": 225_438,
    "count(distinct document_number)": 11_670,
    "count(distinct product_code)": 3_588,
    "sum(quantity)": 2_101_980,
    "sum(quantity * unit_price_amount)": Decimal("4000082.001"),
    "sum(gross_amount)": Decimal("4000082.001"),
    "count(*) filter (where line_type = 'cancellation')": 4_096,
    "sum(gross_amount) filter (where line_type = 'cancellation')": Decimal("-403228.140"),
    "count(*) filter (where customer_key = '00000000-0000-0000-0000-000000000000')": 63_895,
    "count(*) filter (where unit_price_amount = 0)": 1_360,
    "count(distinct customer_key) - 1": 2_879,
}
MONTHS = {
    "2010-12-01": (2_025, 342_228, Decimal("748957.020")),
    "2011-01-01": (1_476, 308_966, Decimal("560000.260")),
    "2011-02-01": (1_393, 277_989, Decimal("498062.650")),
    "2011-03-01": (1_983, 351_872, Decimal("683267.080")),
    "2011-04-01": (1_744, 289_098, Decimal("493207.121")),
    "2011-05-01": (2_162, 380_391, Decimal("723333.510")),
    "2011-06-01": (887, 151_436, Decimal("293254.360")),
}


def wrong_figures(connection: duckdb.DuckDBPyConnection, fact: str) -> list[str]:
    """Hold a table of all real days' sales lines against the figures. Returns a line for each that is another."""
    wrong = []
    for expression, figure in FIGURES.items():
        row = connection.execute(f"select {expression} from {fact}").fetchone()
        if row != (figure,):
            wrong.append(f"{expression} is {row}, not {figure}")
    rows = connection.execute(f"""
        select cast(date_trunc('month', business_date) as date), count(distinct document_number), sum(quantity),
            sum(gross_amount)
        from {fact} group by 1""").fetchall()
    months = {str(month): tuple(figures) for month, *figures in rows}
    wrong += [
        f"{month} has {months.get(month)}, not {MONTHS.get(month)}"
        for month in sorted(months.keys() | MONTHS.keys())
        if months.get(month) != MONTHS.get(month)
    ]
    return wrong
