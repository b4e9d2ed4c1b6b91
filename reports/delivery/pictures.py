"""Charts as pictures, drawn without a browser: the same kinds, colours and units as the site's."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import date
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from reports.site.charts import COLOURS, Unit, shown
from warehouse.reading.money import Currency

# Of a mail's column of text; twice as many pixels as it is shown with, for screens that have them.
WIDTH, HEIGHT, DPI = 6.2, 2.9, 200
_GREY = "#5b6573"
_LABELS = 12  # that stand beside each other without touching


def draw(
    names: Sequence[str], rows: Sequence[Sequence[Any]], *, kind: str = "line", unit: Unit = "", axis: str = ""
) -> bytes:
    """A chart as PNG. The first column is what the rows are about, the others are the series.

    Args:
        names: the columns' names.
        rows: the numbers.
        kind: `line`, `bar`, `stacked` or `across`, which has its bars from left to right.
        unit: of the numbers, as `shown` takes it.
        axis: the title of the axis of the numbers.
    """
    height = max(HEIGHT, 0.6 + 0.24 * len(rows)) if kind == "across" else HEIGHT
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    labels = [_label(row[0]) for row in rows]
    places = list(range(len(rows)))
    below = [0.0] * len(rows)
    share = 0.8 / max(1, len(names) - 1)
    for number, series in enumerate(names[1:], start=1):
        values = [float("nan") if row[number] is None else float(row[number]) for row in rows]
        colour = COLOURS[(number - 1) % len(COLOURS)]
        beside = [place + (number - 1) * share - 0.4 + share / 2 for place in places]
        if kind == "line":
            axes.plot(places, values, color=colour, label=series, marker="o" if len(rows) <= 40 else "", markersize=3)
        elif kind == "across":
            axes.barh(beside, values, height=share, color=colour, label=series)
        elif kind == "stacked":
            known = [0.0 if value != value else value for value in values]
            axes.bar(places, known, bottom=below, color=colour, label=series)
            below = [one + other for one, other in zip(below, known, strict=True)]
        else:
            axes.bar(beside, values, width=share, color=colour, label=series)
    axes.autoscale_view()
    numbers, things = (axes.xaxis, axes.yaxis) if kind == "across" else (axes.yaxis, axes.xaxis)
    whole = isinstance(unit, Currency) and max((abs(each) for each in numbers.get_view_interval()), default=0) >= 10
    numbers.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if whole else shown(value, unit)))
    numbers.set_major_locator(MaxNLocator(5))
    numbers.grid(visible=True, color="#e3e6ea", linewidth=0.6)
    (axes.set_xlabel if kind == "across" else axes.set_ylabel)(axis, fontsize=8, color=_GREY)
    step = 1 if kind == "across" else max(1, -(-len(rows) // _LABELS))
    things.set_ticks(places[::step], labels[::step])
    if kind == "across":
        axes.invert_yaxis()
    elif max(map(len, labels), default=0) * len(places[::step]) > 90:
        axes.tick_params("x", rotation=30)
        for text in axes.get_xticklabels():
            text.set_horizontalalignment("right")
    lowest, highest = numbers.get_view_interval()
    lowest = min(0.0, lowest)
    (axes.set_xlim if kind == "across" else axes.set_ylim)(lowest, highest)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8, colors=_GREY, length=0)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(side == ("left" if kind == "across" else "bottom"))
        axes.spines[side].set_color("#b8bec7")
    if len(names) > 2:
        figure.legend(loc="outside upper center", ncols=min(4, len(names) - 1), fontsize=8, frameon=False)
    written = io.BytesIO()
    figure.savefig(written, format="png")
    return written.getvalue()


def _label(value: Any) -> str:
    """What stands at a place of the axis. A `$` would begin a formula."""
    text = f"{value.day} {value:%b %Y}" if isinstance(value, date) else shown(value)
    text = text if len(text) <= 36 else text[:35] + "…"
    return text.replace("$", r"\$")
