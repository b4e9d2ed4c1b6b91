"""Build the site: the project's own words, what the warehouse says, and the pages that kept tools write."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import markupsafe
from markdown_it import MarkdownIt
from plotly.offline import get_plotlyjs

from ingestion.destination.target import Target
from ingestion.project import PROJECT_ROOT
from reports.site import capacity, operations, pages
from reports.site.charts import shown
from reports.site.diagrams import draw, relationships
from reports.site.filters import numbers
from reports.site.measures import Measures
from reports.site.project import Project, Table, read_project
from warehouse.errors import BuildError
from warehouse.reading.docs import make_artifacts
from warehouse.reading.metrics import Metrics, Question
from warehouse.reading.query import open_published

HERE = Path(__file__).resolve().parent
DRAWN = PROJECT_ROOT / "target" / "diagrams"
# What the pages of the domains that are on stand before.
NAVIGATION = (
    ("Pipeline", "pipeline.html"), ("Quality", "quality.html"), ("Storage and capacity", "storage.html"),
    ("Metrics", "metrics.html"), ("Rules", "rules.html"), ("Diagrams", "diagrams.html"),
    ("Glossary", "glossary.html"),
)  # fmt: skip


@dataclass(frozen=True)
class Result:
    """A rule's last result, in words."""

    text: str
    state: str = ""


class Results(dict[str, Result]):
    """Last results by test; one that was never run says so."""

    def __missing__(self, name: str) -> Result:
        return Result("not run yet")


class Site:
    """The folder that is being written, and what all its pages share."""

    def __init__(self, folder: Path, generation: tuple[Any, ...], reports: list[pages.Page], first: Table):
        self.folder = folder
        number, published_at = generation
        navigation = [
            *((page.title, f"{page.name}.html") for page in reports), *NAVIGATION,
            ("Lineage", f"lineage/index.html?model={first.unique_id}"), ("dbt docs", "docs/index.html"),
        ]  # fmt: skip
        self.shared = {"generation": number, "published_at": shown(published_at), "navigation": navigation}
        self.templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(HERE / "templates"), autoescape=True, undefined=jinja2.StrictUndefined,
            trim_blocks=True, lstrip_blocks=True,
        )  # fmt: skip
        self.templates.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
        self.markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
        self.templates.filters["inline"] = lambda text: markupsafe.Markup(self.markdown.renderInline(text))

    def write(self, url: str, template: str, title: str, **values: Any) -> None:
        """Write one page."""
        root = "../" * url.count("/")
        path = self.folder / url
        path.parent.mkdir(parents=True, exist_ok=True)
        values = {"charts": False, **self.shared, "root": root, "here": url, "title": title, **values}
        path.write_text(self.templates.get_template(template).render(values), encoding="utf-8")


def build_site(target: Target, folder: Path, say: Callable[[str], None]) -> int:
    """Write the site of what is published into `folder`. Returns the number of its pages.

    Raises:
        BuildError: nothing is published, or a tool fails.
    """
    say("reading the project and its catalog")
    artifacts = make_artifacts(target)
    project = read_project(artifacts, target.project)
    metrics = Metrics(target, artifacts)
    with open_published(target) as connection:
        measures = Measures(target, connection, metrics)
        say("asking the published marts")
        reports = pages.of_domains(measures, project)
        beside = folder.with_name(folder.name + "__next")
        site = Site(beside, measures.generation(), [page for _, page in reports], project.first)
        shutil.rmtree(site.folder, ignore_errors=True)
        _pages(site, project, measures, artifacts, reports)
    say("writing the lineage and dbt's pages")
    _assets(site, project)
    _tools(site, artifacts, project.first)
    # The new site takes the old one's place whole.
    shutil.rmtree(folder, ignore_errors=True)
    site.folder.rename(folder)
    return sum(1 for _ in folder.rglob("*.html"))


def _pages(
    site: Site, project: Project, measures: Measures, artifacts: Path, reports: list[tuple[str, pages.Page]]
) -> None:
    listed = [(table.schema, table.name) for table in project.tables.values()]
    row_counts = measures.row_counts(listed)
    published = [(schema, name) for schema, name in listed if schema != "runs"]
    results = _results(measures)
    newest = measures.newest_record_by_source()
    edges = relationships(artifacts, artifacts / "erd")

    for name, page in (
        *reports,
        ("pipeline_report", operations.pipeline(measures)),
        ("quality_report", operations.quality(measures, project)),
        ("storage_report", capacity.storage(measures, project, measures.bytes(published), row_counts)),
    ):
        dashboard = project.dashboards[name]
        reads = [project.tables[each] for each in dashboard.tables]
        site.write(f"{page.name}.html", "report.html", page.title, page=page, charts=True, tables=reads,
                   metrics=dashboard.metrics, numbers=numbers(measures, project, dashboard.filters, page))  # fmt: skip
    stars: dict[str, str] = {}
    for table in project.tables.values():
        star = [edge for edge in edges if edge[0] == table.name]
        if star:
            stars[table.name] = draw(star, DRAWN)
        site.write(
            table.url, "table.html", table.full_name, table=table, tables=project.tables, results=results,
            rows=shown(row_counts[table.name]), newest=_newest(table, newest),
            description=site.markdown.render(table.description), star=stars.get(table.name, ""),
            dashboards=[project.dashboards[name] for name in table.dashboards],
        )  # fmt: skip
    _index(site, project, measures, results, row_counts, newest)
    _catalogue(site, project, measures)
    dimensions = sorted({rule.dimension for rule in project.rules}, key=lambda name: (name == "", name))
    site.write(
        "rules.html", "rules.html", "Rules", tables=project.tables, results=results,
        rules=[(name, [rule for rule in project.rules if rule.dimension == name]) for name in dimensions],
    )  # fmt: skip
    glossary = (PROJECT_ROOT / "docs" / "glossary.md").read_text(encoding="utf-8").split("\n", 1)[1]
    html = site.markdown.render(glossary.replace("](metrics.md)", "](metrics.html)"))
    site.write("glossary.html", "text.html", "Glossary", html=html)
    facts = sorted((t for t in project.tables.values() if t.kind == "fact"), key=lambda t: t.full_name)
    drawn = [(domain, [(t, stars[t.name]) for t in facts if t.schema == domain and t.name in stars])
             for domain in dict.fromkeys(fact.schema for fact in facts)]  # fmt: skip
    site.write("diagrams.html", "diagrams.html", "Diagrams", diagrams=drawn)


def _results(measures: Measures) -> Results:
    results = Results()
    for name, (status, failures, started) in measures.latest_results().items():
        good = status in ("pass", "success")
        text = f"{'passed' if good else f'{status}: {shown(failures)} rows'}, {shown(started)}"
        results[name] = Result(text, "good" if good else "bad")
    return results


def _newest(table: Table, newest: dict[str, Any]) -> str:
    known = [newest[source] for source in table.sources if newest.get(source)]
    return shown(max(known)) if known else "–"


def _index(
    site: Site,
    project: Project,
    measures: Measures,
    results: Results,
    row_counts: dict[str, int],
    newest: dict[str, Any],
) -> None:
    domains = []
    for domain in project.domains:
        rows = []
        for table in sorted((t for t in project.tables.values() if t.schema == domain), key=lambda t: t.name):
            states = [results[rule.name].state for rule in table.rules]
            passed = states.count("good")
            rows.append({
                "table": table, "rows": shown(row_counts[table.name]), "newest": _newest(table, newest),
                "quality": f"{passed} of {len(states)} passed" if states else "none",
                "state": "bad" if "bad" in states else "good" if states and passed == len(states) else "",
            })  # fmt: skip
        domains.append((domain, rows))
    matrices = {domain: matrix for domain in project.domains if (matrix := project.bus_matrix(domain))[1]}
    ran = [result for name, result in results.items()]
    rejects = measures.rows("select count(*) from {ops}.ops_rejects where not is_resolved")[0][0]
    site.write(
        "index.html", "index.html", "The warehouse", domains=domains, tables=project.tables,
        matrices={domain: matrices.get(domain) for domain in project.domains},
        dashboards=list(project.dashboards.values()),
        figures=[
            pages.Figure("Tables", shown(len(project.tables)), f"{shown(sum(row_counts.values()))} rows"),
            pages.Figure("Metrics", shown(len(project.metrics)), link="metrics.html"),
            pages.Figure("Tests passed", f"{sum(r.state == 'good' for r in ran)} of {len(ran)}", link="rules.html"),
            pages.Figure("Open rejects", shown(rejects), link="quality.html"),
            pages.Figure(
                "Newest record", shown(max(filter(None, newest.values()), default=None)), link="pipeline.html"
            ),
        ],
    )  # fmt: skip


# The first part of a name that has three.
_DATABASE = re.compile(r'"[^"]+"\.(?="[^"]+"\."[^"]+")')


def _catalogue(site: Site, project: Project, measures: Measures) -> None:
    listed = []
    for metric in project.metrics.values():
        names = {own for own in measures.metrics.group_bys((metric.name,)).values() if own != "metric_time"}
        # Windows and years before have no whole.
        whole = "by period only"
        if metric.kind not in ("cumulative", "derived"):
            (value,) = measures.metrics.answer(measures.connection, Question((metric.name,)))[1][0]
            whole = shown(value, measures.unit(metric.name))
        monthly = Question((metric.name,), ("metric_time__month",))
        listed.append({
            "metric": metric, "dimensions": ["day, week, month, quarter, year", *sorted(names)], "value": whole,
            # Without the database: readers open it under names of their own.
            "sql": _DATABASE.sub("", measures.metrics.sql(monthly)),
        })  # fmt: skip
    site.write("metrics.html", "metrics.html", "Metrics", metrics=listed, tables=project.tables)


def _assets(site: Site, project: Project) -> None:
    assets = site.folder / "assets"
    assets.mkdir(parents=True)
    for name in ("style.css", "site.js", "filters.js"):
        shutil.copyfile(HERE / "assets" / name, assets / name)
    (assets / "plotly.min.js").write_text(get_plotlyjs(), encoding="utf-8")
    entries: list[dict[str, Any]] = []

    def add(rank: int, name: str, what: str, means: str, url: str) -> None:
        entries.append({"rank": rank, "name": name, "what": what, "means": means, "url": url})

    for table in project.tables.values():
        add(0, table.full_name, table.kind, table.grain, table.url)
        for column in table.columns:
            add(3, column.name, f"column of {table.full_name}", column.description, f"{table.url}#{column.name}")
    for metric in project.metrics.values():
        add(1, metric.name, "metric", metric.description, f"metrics.html#{metric.name}")
    for dashboard in project.dashboards.values():
        add(2, dashboard.label, "dashboard", dashboard.description, dashboard.url)
    (assets / "index.js").write_text(f"window.INDEX = {json.dumps(entries)};\n", encoding="utf-8")


def _tools(site: Site, artifacts: Path, first: Table) -> None:
    docs, lineage = site.folder / "docs", site.folder / "lineage"
    docs.mkdir()
    # What browsers would ask for in vain: icons whose names Angular has yet to fill in, and one that isn't there.
    page = (artifacts / "static_index.html").read_text(encoding="utf-8")
    page = re.sub(r'<link rel="[^"]*icon" href="\$\{[^>]*>', '<link rel="icon" href="data:,">', page)
    (docs / "index.html").write_text(page.replace('xlink:href="{{', 'ng-attr-xlink:href="{{'), encoding="utf-8")
    # A process of its own: it prints a banner, and sets up logging for itself.
    done = subprocess.run(
        [sys.executable, "-c", "from dbt_colibri.cli.cli import cli; cli()", "generate",
         "--manifest", str(artifacts / "manifest.json"),
         "--catalog", str(artifacts / "catalog.json"), "--output-dir", str(lineage), "--light", "--disable-telemetry"],
        capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode or not (lineage / "index.html").exists():
        raise BuildError(f"colibri could not write the lineage: {(done.stderr or done.stdout).strip()[-300:]}")
    (lineage / "colibri-manifest.json").unlink(missing_ok=True)
    # Where no model is named it opens whichever comes first in its manifest.
    page = (lineage / "index.html").read_text(encoding="utf-8")
    opened = f"?model={first.unique_id}"
    script = f'<script>if (!/[?&]model=/.test(location.search)) history.replaceState(null, "", "{opened}");</script>'
    (lineage / "index.html").write_text(page.replace("<head>", f"<head>{script}", 1), encoding="utf-8")
