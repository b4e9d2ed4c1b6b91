"""`python -m bench`: what `make bench` runs."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from contextlib import nullcontext
from pathlib import Path

from bench import api, batches, builds, care, drills, encryption, growth, lake, loads, queries, report, snapshots, views
from bench.company import Company
from bench.measuring import RUNS, Measurement, Settings, machine, say
from bench.server import SETTINGS, Server, environment, postgres_server
from ingestion.project import PROJECT_ROOT
from warehouse.errors import BuildError

PARTS = ("loads", "views", "snapshots", "build", "day", "batches", "queries", "api", "clinic", "lake")
# Alone: on a cluster of Debian's packages, where the parts have a Postgres of their own; at ten times their sizes; and
# what a key costs.
DRILLS, GROWTH, ENCRYPTION = "drills", "growth", "encryption"
ENGINES = ("duckdb", "postgres")
BUSY = 0.5  # load average above which a machine does something else already
# Rows from a person's own settings would end up in what is measured; telemetry would be timed.
ENVIRONMENT = {"RUNTIME__DLTHUB_TELEMETRY": "false", "DBT_SEND_ANONYMOUS_USAGE_STATS": "false", "DO_NOT_TRACK": "1"}


def main() -> int:
    """Measure what was asked for. Returns the exit status: 0 done, whether targets were met or not."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Measure Granary against the engines themselves."
    )
    parser.add_argument(
        "parts",
        nargs="*",
        metavar="part",
        help=f"{', '.join(PARTS)}; all of these unless named; or, alone, {DRILLS}, {GROWTH} or {ENCRYPTION}",
    )
    parser.add_argument("--engine", choices=[*ENGINES, "both"], default="both")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full sizes; results count at 1.0 only")
    parser.add_argument(
        "--folder", type=Path, default=PROJECT_ROOT / "data" / "bench", help="for everything that is made"
    )
    parser.add_argument("--runs", type=int, default=RUNS, help="of each measure (default: %(default)s)")
    parser.add_argument("--batches", type=int, default=100, help="batches: how many (default: %(default)s)")
    parser.add_argument("--project", choices=["commerce", "tiny"], default="commerce", help="batches: of which project")
    parser.add_argument("--before", default="", metavar="COMMIT", help="day: compare with its full build, too")
    parser.add_argument("--reuse", action="store_true", help="queries: ask what an earlier run built in the folder")
    parser.add_argument("--write", action="store_true", help="put the results into bench/README.md")
    parser.add_argument("--section", choices=report.SECTIONS, default=report.SECTIONS[0], help="into which part of it")
    arguments = parser.parse_args()
    unknown = set(arguments.parts) - set(PARTS)
    if unknown and arguments.parts not in ([DRILLS], [GROWTH], [ENCRYPTION]):
        choice = f"choose from {', '.join(PARTS)}, or {DRILLS}, {GROWTH} or {ENCRYPTION} alone"
        parser.error(f"unknown part {', '.join(sorted(unknown))}: {choice}")
    if arguments.reuse and arguments.parts != ["queries"]:
        parser.error("--reuse goes with queries alone: the other parts build")
    parts = set(arguments.parts) or set(PARTS)
    engines = ENGINES if arguments.engine == "both" else (arguments.engine,)
    settings = Settings(engines, arguments.scale, arguments.folder.resolve(), arguments.runs, arguments.before)
    settings.folder.mkdir(parents=True, exist_ok=True)
    say(f"sizes: {report.sizes(settings)}")
    started, load = time.monotonic(), os.getloadavg()[0]
    if load > BUSY:
        say(f"the machine is busy (load average {load:.1f}): its figures will say little")
    plans: dict[str, list[str]] = {}
    with environment(ENVIRONMENT):
        if DRILLS in parts:
            found, version = drills.measure(settings, plans)
            configured = "as `infra/templates` has it"
        elif GROWTH in parts:
            found, version, configured = growth.measure(settings), "", "not measured"
        elif ENCRYPTION in parts:
            found, version, configured = encryption.measure(settings), "", "not measured"
        else:
            # The shop's database of the loads may be a Postgres even where none is measured as warehouse; a lake's
            # catalogs are.
            with_server = "postgres" in engines or parts & {"loads", "lake"}
            with postgres_server(settings.folder / "postgres") if with_server else nullcontext() as server:
                found = _measure(settings, server, parts, plans, arguments)
                version = server.version if server else ""
            configured = ", ".join(f"`{name} = {value}`" for name, value in SETTINGS.items()) + "; the rest as it comes"
    about = machine(version, load) | {"Postgres is set": configured}
    minutes = (time.monotonic() - started) / 60
    path = report.write_json(settings, found, about, minutes, plans)
    print(report.table(found))
    missed = [each for each in found if each.verdict == "MISSED"]
    print(f"\n{len(missed)} targets missed, {sum(each.verdict == 'ok' for each in found)} met")
    if settings.scale < 1:
        print(f"at {settings.scale:g} of the full sizes: a sample, no result")
    print(f"{minutes:.1f} minutes; {path}")
    if arguments.write:
        # The folder is this machine's own.
        words = ["DIR" if word == str(arguments.folder) else word for word in sys.argv[1:]]
        command = " ".join(["python -m bench", *words])
        report.write_readme(arguments.section, settings, found, about, command, minutes, plans)
    return 0


def _measure(
    settings: Settings, server: Server | None, parts: set[str], plans: dict[str, list[str]], asked: argparse.Namespace
) -> list[Measurement]:
    found: list[Measurement] = []
    if "loads" in parts:
        found += loads.measure(settings, server)
        shutil.rmtree(settings.folder / "data", ignore_errors=True)
    if "views" in parts:
        found += views.measure(settings)
    if "snapshots" in parts:
        found += snapshots.measure(settings, server)
    if "batches" in parts:
        found += batches.measure(settings, server, asked.batches, asked.project)
    if "clinic" in parts:
        found += care.measure(settings, server)
    if "lake" in parts and server:
        found += lake.measure(settings, server)
    if "api" in parts:
        found += api.measure(settings, server)
    if parts & {"build", "day", "queries"}:
        company = Company(settings, builds.DAYS if "day" in parts else 0)
        if not asked.reuse:
            say("making the company")
            company.make()
        for engine in settings.engines:
            values = server.settings(builds.DATABASE) if server and engine == "postgres" else {}
            os.environ.update(values)
            before = builds.full_before(settings, engine) if "day" in parts and settings.before else None
            warehouse = builds.Warehouse(engine, settings, server, company)
            try:
                for each in () if asked.reuse else builds.measure(warehouse, settings.runs, parts, before):
                    found.append(each)
            except BuildError as error:
                # What is left is measured all the same; a build that fails is never a target met.
                say(f"  {error}")
                note = f"failed: {str(error)[:200]}"
                found.append(Measurement("build", engine, "a build", None, at_most=builds.DAG_AT_MOST, note=note))
            if "queries" in parts:
                found += queries.measure(warehouse.target, plans)
    return found


if __name__ == "__main__":
    sys.exit(main())
