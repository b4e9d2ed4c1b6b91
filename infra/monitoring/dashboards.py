"""`python -m infra.monitoring.dashboards`: write Grafana's dashboards from the list in `panels.py`.

Grafana's own builders write them, so what they say is what its model of a dashboard knows. They are development's: who
runs Granary has the files.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.builders import bargauge, common, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.common import VizOrientation
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from infra.monitoring.panels import DASHBOARDS, VARIABLES, Panel

FOLDER = Path(__file__).parent / "dashboards"
SOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
COLUMNS = 24
HEIGHTS = {"stat": 4, "series": 8, "bars": 8, "table": 7}


def written(name: str, panels: tuple[Panel, ...]) -> str:
    """A dashboard as Grafana imports it."""
    board = (
        build.Dashboard(f"Granary: {name}")
        .uid(f"granary-{name.lower()}")
        .tags(["granary"])
        .timezone("browser")
        .time("now-7d", "now")
        .refresh("1m")
        .editable()
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .with_variable(build.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .link(build.DashboardLink("Granary").type(model.DashboardLinkType.DASHBOARDS).tags(["granary"]))
    )
    for variable, query in VARIABLES.get(name, {}).items():
        board = board.with_variable(
            build.QueryVariable(variable)
            .datasource(SOURCE)
            .query(query)
            .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(model.VariableSort.ALPHABETICAL_ASC)
            .multi(True)
            .include_all(True)
        )
    for number, (panel, place) in enumerate(zip(panels, _places(panels), strict=True), start=1):
        board = board.with_panel(_panel(number, panel).grid_pos(place))
    return json.dumps(board.build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def _places(panels: tuple[Panel, ...]) -> Iterator[model.GridPos]:
    """Where panels lie: from left to right, in rows that are as high as their highest."""
    x = y = height = 0
    for panel in panels:
        if x + panel.width > COLUMNS:
            x, y, height = 0, y + height, 0
        yield model.GridPos(h=HEIGHTS[panel.kind], w=panel.width, x=x, y=y)
        x, height = x + panel.width, max(height, HEIGHTS[panel.kind])


def _panel(number: int, panel: Panel) -> Any:
    made: Any = _KINDS[panel.kind]()
    made = made.id(number).title(panel.title).datasource(SOURCE).unit(panel.unit)
    if panel.description:
        made = made.description(panel.description)
    if panel.repeat:
        made = made.repeat(panel.repeat).repeat_direction("h").max_per_row(4)
    for letter, (expr, called) in zip("ABCD", panel.queries, strict=False):
        query = prometheus.Dataquery().ref_id(letter).expr(expr).legend_format(called or "__auto")
        made = made.with_target(
            query.instant().format(PromQueryFormat.TABLE) if panel.kind == "table"
            else query.instant() if panel.kind == "bars"
            else query.range()
        )  # fmt: skip
    return made


def _last() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"])


def _without_time() -> table.Panel:
    hidden = {"Time": True, "__name__": True, "instance": True, "job": True, "server": True}
    return table.Panel().with_transformation(
        model.DataTransformerConfig(id_val="organize", options={"excludeByName": hidden})
    )


_KINDS: dict[str, Callable[[], Any]] = {
    "stat": lambda: stat.Panel().reduce_options(_last()),
    "series": lambda: timeseries.Panel().min(0),
    "bars": lambda: bargauge.Panel().reduce_options(_last()).orientation(VizOrientation.HORIZONTAL).min(0),
    "table": _without_time,
}


def main() -> None:
    """Write all of them."""
    FOLDER.mkdir(exist_ok=True)
    for name, panels in DASHBOARDS.items():
        path = FOLDER / f"{name.lower()}.json"
        path.write_text(written(name, panels), encoding="utf-8")
        print(f"{path.name}: {len(panels)} panels")


if __name__ == "__main__":
    main()
