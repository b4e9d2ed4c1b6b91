"""Charts: a title that says what is shown, axes with units, and a table of the same numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import plotly.graph_objects as go

from warehouse.reading.money import Currency, rounded

# Told apart by people with any colour vision, readable on light and on dark: Okabe and Ito's colours, without yellow.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7f7f7f")
SHARE, COUNT, SECONDS, BYTES = "share", "count", "seconds", "bytes"
Unit = str | Currency


@dataclass(frozen=True)
class Follows:
    """A saved query's metrics that are shown, to be shown again for what a reader picks.

    first: the number of bars, the largest; 0 for all.
    last: the number of days, the newest, while no period is picked; 0 for all.
    """

    query: str
    metrics: tuple[str, ...]
    first: int = 0
    last: int = 0


@dataclass(frozen=True)
class Chart:
    """A chart as it stands on a page: the drawing as HTML, and its numbers as text.

    values, unit, axis: what it is drawn of, for who draws it elsewhere.
    """

    id: str
    title: str
    note: str
    html: str
    names: list[str]
    rows: list[list[str]]
    kind: str
    follows: Follows | None
    values: Sequence[Sequence[Any]]
    unit: Unit
    axis: str


def shown(value: Any, unit: Unit = "") -> str:
    """A value as people read it. `unit` is share, seconds, bytes, count or a currency."""
    if value is None:
        return "–"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, int | float | Decimal):
        return str(value)
    if isinstance(unit, Currency):
        return f"{rounded(value, unit.digits):,}"
    number = float(value)
    if unit == SHARE:
        return f"{number:.1%}"
    if unit == BYTES:
        return _bytes(number)
    if unit == SECONDS:
        return f"{number:,.1f} s"
    return f"{number:,.0f}" if number.is_integer() or abs(number) >= 1000 else f"{number:,.2f}"


def _bytes(value: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:,.0f} {unit}" if unit == "B" else f"{value:,.1f} {unit}"
        value /= 1000
    return f"{value:,.1f} TB"


def chart(
    name: str,
    title: str,
    names: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    kind: str = "line",
    unit: Unit = COUNT,
    axis: str = "",
    note: str = "",
    follows: Follows | None = None,
) -> Chart:
    """A chart of rows whose first column is what they are about and whose others are the series.

    Args:
        name: the chart's id on the page.
        title: what it shows.
        names: the columns' names; the first is the title of its axis.
        rows: the numbers.
        kind: `line`, `bar`, `stacked` or `across`, which has its bars from left to right.
        unit: of the numbers: share, count, seconds, bytes, or a currency.
        axis: the title of the axis of the numbers.
        note: what else is to be known, such as the day of the data.
        follows: what it shows, where it follows the page's filters.
    """
    labels = [shown(row[0]) if not isinstance(row[0], date) else row[0] for row in rows]
    figure = go.Figure()
    for number, series in enumerate(names[1:], start=1):
        values = [None if row[number] is None else float(row[number]) for row in rows]
        colour = COLOURS[(number - 1) % len(COLOURS)]
        text = [shown(row[number], unit) for row in rows]
        hover = "%{text}<extra>" + series + "</extra>"
        if kind == "line":
            mode = "lines+markers" if len(rows) <= 40 else "lines"
            figure.add_scatter(
                x=labels, y=values, name=series, mode=mode, line={"color": colour}, text=text, hovertemplate=hover
            )
        elif kind == "across":
            figure.add_bar(
                y=labels, x=values, name=series, orientation="h", marker_color=colour, text=text, hovertemplate=hover,
                textposition="none",
            )  # fmt: skip
        else:
            figure.add_bar(
                x=labels, y=values, name=series, marker_color=colour, text=text, hovertemplate=hover,
                textposition="none",
            )  # fmt: skip
    numbers = {"title": {"text": axis or ", ".join(names[1:])}, "rangemode": "tozero", "automargin": True}
    if unit == SHARE:
        largest = max((float(value) for row in rows for value in row[1:] if value is not None), default=1)
        numbers["tickformat"] = ".0%" if largest > 0.1 else ".1%"
    if unit == BYTES:
        numbers |= {"tickformat": "~s", "ticksuffix": "B"}
    things = {"title": {"text": names[0]}, "automargin": True}
    if rows and (isinstance(rows[0][0], str) or len(rows) < 4):  # an axis of time needs some days to be one
        things["type"] = "category"
    if kind == "across":
        things["autorange"] = "reversed"
    figure.update_layout(
        height=max(300, 90 + 24 * len(rows)) if kind == "across" else 340,
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        barmode="stack" if kind == "stacked" else "group",
        showlegend=len(names) > 2,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        hovermode="closest" if kind == "across" else "x unified",
        xaxis=numbers if kind == "across" else things,
        yaxis=things if kind == "across" else numbers,
    )
    html = figure.to_html(
        full_html=False, include_plotlyjs=False, div_id=f"chart-{name}",
        config={"displayModeBar": False, "responsive": True, "displaylogo": False},
    )  # fmt: skip
    table = [[shown(row[0]), *(shown(value, unit) for value in row[1:])] for row in rows]
    return Chart(name, title, note, html, list(names), table, kind, follows, rows, unit, axis)
