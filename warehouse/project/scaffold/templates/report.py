"""What people look at of [[ names.domain ]]: a figure and a chart for each metric of a saved query."""

from __future__ import annotations

from functools import partial

from reports.site.pages import by_month

REPORTS = {"[[ names.domain ]]_report": partial(by_month, "[[ names.domain ]]", "[[ names.query('month') ]]")}
