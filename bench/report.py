"""The results for people: a table at the end of a run, JSON in its folder, and a section of README.md."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import company
from bench.company import CATEGORIES, DAYS
from bench.loads import ROWS
from bench.measuring import Measurement, Settings

README = Path(__file__).resolve().parent / "README.md"
# Each stands in README.md between two markers; beside the usual sizes, dashboards on a production Postgres.
SECTIONS = ("results", "production-6M", "production-60M", "production-cluster", "encryption", "api", "clinic")
HEADER = ["part", "engine", "what", "Granary", "CPU", "compared with", "its time", "ratio", "target", ""]


def rows(measurements: list[Measurement]) -> list[list[str]]:
    """The measurements as the cells of a table under HEADER."""
    return [
        [
            each.part,
            each.engine,
            each.what,
            _seconds(each.seconds),
            _seconds(each.cpu),
            each.against if each.reference is not None else "",
            _seconds(each.reference),
            f"{each.ratio:.2f}" if each.ratio is not None and each.reference is not None else "",
            _target(each),
            each.verdict if not each.note else f"{each.verdict} ({each.note})".strip(),
        ]
        for each in measurements
    ]


def _seconds(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value * 1000:.1f} ms" if value < 0.1 else f"{value:.2f} s"


def _target(each: Measurement) -> str:
    if each.at_least is not None:
        return f"≥ {each.at_least:.2f}"
    if each.at_most is None:
        return ""
    return f"≤ {each.at_most * 1000:.0f} ms" if each.part == "queries" else f"≤ {each.at_most:.2f}"


def table(measurements: list[Measurement]) -> str:
    """The measurements in columns, for a terminal."""
    cells = [HEADER, *rows(measurements)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(HEADER))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
    )


def write_json(
    settings: Settings,
    measurements: list[Measurement],
    machine: dict[str, str],
    minutes: float,
    plans: dict[str, list[str]],
) -> Path:
    """Write everything that was measured into the folder. Returns the file."""
    path = settings.folder / "results.json"
    document: dict[str, Any] = {
        "measured_at": datetime.now(UTC).isoformat(timespec="minutes"),
        "minutes": round(minutes, 1),
        "scale": settings.scale,
        "runs": settings.runs,
        "machine": machine,
        "measurements": [each.document() for each in measurements],
        "plans": plans,
    }
    path.write_text(json.dumps(document, indent=1), encoding="utf-8")
    return path


def write_readme(
    section: str,
    settings: Settings,
    measurements: list[Measurement],
    machine: dict[str, str],
    command: str,
    minutes: float,
    plans: dict[str, list[str]],
) -> None:
    """Put the results, with the plans of the slowest queries, between a section's markers of README.md."""
    text = README.read_text(encoding="utf-8")
    begin, end = f"<!-- {section}: begin -->", f"<!-- {section}: end -->"
    before, rest = text.split(begin)
    after = rest.split(end)[1]
    size = "the full sizes" if settings.scale == 1 else f"{settings.scale:g} times the full sizes"
    if settings.scale < 1:
        size = f"**{settings.scale:g} of the full sizes: no result, only a sample**"
    missed = [each for each in measurements if each.verdict == "MISSED"]
    met = [each for each in measurements if each.verdict == "ok"]
    lines = [
        f"Measured on {datetime.now(UTC):%Y-%m-%d} with `{command}` at {size}, "
        f"{settings.runs} runs each, in {minutes:.0f} minutes.",
        "",
        f"Machine: {', '.join(f'{name} {value}' for name, value in machine.items())}.",
        "",
        f"Targets met: {len(met)}; missed: {len(missed)}.",
        "",
        "| " + " | ".join(HEADER) + " |",
        "| " + " | ".join("---" for _ in HEADER) + " |",
        *("| " + " | ".join(row) + " |" for row in rows(measurements)),
        *(line for name, plan in plans.items() for line in ("", f'The plan of "{name}":', "", "```", *plan, "```")),
    ]
    README.write_text(f"{before}{begin}\n" + "\n".join(lines) + f"\n{end}{after}", encoding="utf-8")


def sizes(settings: Settings) -> str:
    """What is loaded and built, in numbers."""
    parts = ", ".join(f"{rows:,} {name.replace('_', ' ')}" for name, rows in company.sizes(settings).items())
    return f"loads {settings.size(ROWS):,} rows; build {parts}, {CATEGORIES} categories, {DAYS} days"
