"""`python -m warehouse`: what the Makefile calls."""

from __future__ import annotations

import argparse
import os
import sys
from datetime import date
from pathlib import Path

from ingestion.destination.lock import LockError
from ingestion.destination.target import current_target
from ingestion.environment import ConfigurationError
from ingestion.project import PROJECT_ROOT
from ingestion.signals import end_by_signals, said_ended
from warehouse.build.build import Request, build, publish_held_build, roll_back_build
from warehouse.build.diff import show_difference
from warehouse.build.follow import follow
from warehouse.build.history import rebuild_history
from warehouse.build.retire import retire
from warehouse.build.workers.queue import refuse_without_queue
from warehouse.errors import BuildError
from warehouse.ops.backup import KEEP, back_up, restore
from warehouse.ops.status import print_status
from warehouse.people.extract import extract_role, extract_tenant
from warehouse.people.forgetting import forget
from warehouse.people.matching import list_decisions, match, unmatch
from warehouse.people.releases import begin_release
from warehouse.people.retention import retain
from warehouse.people.revealing import reveal
from warehouse.project.columns import new_column, take_column
from warehouse.project.fhir_views.command import fhir_view
from warehouse.project.new_domain import lay_out
from warehouse.project.scaffold.address import address_of
from warehouse.project.scaffold.decide import decide
from warehouse.publish.compaction import compact
from warehouse.reading.docs import check_freshness, write_docs
from warehouse.reading.domains import leave_out_unused
from warehouse.reading.export import Wanted, export
from warehouse.reading.query import query

# What these read is the same whichever domains are on.
NO_DOMAINS = ("query", "export", "status", "backup", "restore", "compact", "reveal")


def _say(line: str) -> None:
    # One write a line: dbt's threads report at the same time.
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run one command. Returns the exit status: 0 done, 1 failed, 2 wrongly asked, 128 + n ended by signal n."""
    end_by_signals()
    parser = argparse.ArgumentParser(prog="python -m warehouse", description="Granary's builds.")
    commands = parser.add_subparsers(dest="command", required=True)
    building = commands.add_parser("build", help="load, build, test, publish")
    building.add_argument("--select", default=None, help="dbt's selection; publishes nothing")
    building.add_argument("--full", action="store_true", help="build everything from raw again")
    building.add_argument("--no-ingest", action="store_true", help="build from what raw holds")
    building.add_argument("--hold", action="store_true", help="build and test, but publish nothing yet")
    working = commands.add_parser("worker", help="a lake: take part in builds that others begin")
    working.add_argument("--build", type=int, default=None, metavar="NUMBER", help="only in this one")
    commands.add_parser("diff", help="what publishing would change: rows and columns, table by table")
    commands.add_parser("publish", help="publish the generation that `build --hold` held back")
    commands.add_parser("rollback", help="give readers the generation before")
    laying = commands.add_parser("new-domain", help="lay out a domain: its folders, and its entry in the list")
    laying.add_argument("name")
    retiring = commands.add_parser("retire", help="take a domain from readers; raw and history stay")
    retiring.add_argument("domain")
    filling = commands.add_parser("backfill", help="compute the facts of some days again, test, publish")
    filling.add_argument("--from", dest="first", type=date.fromisoformat, required=True, metavar="YYYY-MM-DD")
    filling.add_argument("--to", dest="last", type=date.fromisoformat, required=True, metavar="YYYY-MM-DD")
    commands.add_parser("rebuild-history", help="compute all snapshots from raw anew, and compare")
    following = commands.add_parser("follow", help="load, build, publish, and begin again, until Ctrl-C")
    following.add_argument("source", nargs="?", default="", help="which; the only one unless given")
    following.add_argument(
        "--seconds", type=float, default=None,
        help="how long to wait at most where nothing came (default: 5; 60 where the source tells that something did)",
    )  # fmt: skip
    for each in (building, following):
        each.add_argument(
            "--by-dbt",
            action="store_true",
            help="have dbt make all of it, instead of sending again what it sent before",
        )
    following.add_argument("--batches", type=int, default=None, help="end after so many were published")
    day = commands.add_parser("next-day", help="the demo: simulate one more day and build it on top")
    day.add_argument("--days", type=int, default=1)
    commands.add_parser("docs", help="the docs site as one static page")
    commands.add_parser("status", help="what is published, what was loaded, what was rejected")
    commands.add_parser("freshness", help="how old each source's newest record is")
    taking = commands.add_parser("take-column", help="take a new column of a source over, history included")
    taking.add_argument("column", metavar="source.table.column")
    taking.add_argument("--type", required=True, help="text, bigint, numeric(p,s), boolean, date or timestamp")
    taking.add_argument("--description", required=True, help="what it means, in a sentence")
    taking.add_argument("--as", dest="alias", default="", metavar="NAME", help="its name in staging")
    taking.add_argument("--privacy", default="none", help="none, direct_identifier, quasi_identifier or sensitive")
    taking.add_argument(
        "--model", nargs="+", default=[], help="the staging models that get it, where there are several"
    )
    taking.add_argument("--track", action="store_true", help="history follows it: a new value begins a new version")
    for name, text in (
        ("preview", "what a source's database has, and what a scaffold would make of it; writes nothing"),
        ("scaffold", "make a source of a database: contract, staging, history, tests, docs"),
    ):
        scaffolding = commands.add_parser(name, help=text)
        scaffolding.add_argument("source", help="its name; SOURCES__<SOURCE>__CREDENTIALS says where it lies")
        scaffolding.add_argument(
            "--schemas", default="", help="which, with commas between; the reader's own unless given"
        )
        scaffolding.add_argument("--tables", default="", help="which, with commas between; all unless given")
    # The last of the two writes.
    scaffolding.add_argument("--domain", default="", help="the domain that reads it; the source's name unless given")
    scaffolding.add_argument(
        "--fact", default="", help="what the first star's events are; `none` for no star; proposed unless given"
    )
    scaffolding.add_argument("--dry", action="store_true", help="only say what would be written")
    viewing = commands.add_parser("fhir-view", help="make a staging model of a ViewDefinition of SQL on FHIR")
    viewing.add_argument("view", type=Path, help="the ViewDefinition, a JSON file")
    viewing.add_argument("--name", default="", help="what the model is called; the view's name unless given")
    viewing.add_argument("--source", default="fhir", help="whose resources they are; fhir unless given")
    deciding = commands.add_parser("decide", help="say what an undecided column tells of a person")
    deciding.add_argument("column", metavar="source.table.column", help="`*` stands for any letters")
    deciding.add_argument("privacy", help="none, quasi_identifier, sensitive or direct_identifier")
    asking = commands.add_parser("query", help="ask the published marts something, in SQL")
    asking.add_argument("sql")
    exporting = commands.add_parser("export", help="a published mart as a file")
    exporting.add_argument("mart", metavar="schema.table")
    exporting.add_argument("--format", type=str.lower, default="parquet", help="parquet, csv, xlsx or json")
    exporting.add_argument("--where", default="", help="which rows, as a condition in SQL")
    exporting.add_argument("--columns", default="", help="which columns, with commas between; all unless given")
    exporting.add_argument("--folder", type=Path, default=PROJECT_ROOT / "exports")
    exporting.add_argument("--as-is", action="store_true", help="CSV: leave texts that spreadsheets take for formulas")
    extracting = commands.add_parser("extract", help="what a tenant or a role may read, as a DuckDB file")
    extracting.add_argument(
        "tenants", nargs="?", default="", help="sources, with commas between; `kind:id` for another kind of tenant"
    )
    extracting.add_argument("--role", default="", help="researcher, clinician or reporter, in a tenant's place")
    extracting.add_argument("--folder", type=Path, default=PROJECT_ROOT / "exports")
    backing = commands.add_parser("backup", help="DuckDB: a checked copy of the warehouse's files")
    backing.add_argument("--folder", type=Path, default=None, help="where backups lie; backups beside the files")
    backing.add_argument("--keep", type=int, default=KEEP, help="how many of the newest are kept")
    restoring = commands.add_parser("restore", help="DuckDB: put a backup in the warehouse's place")
    restoring.add_argument("backup", nargs="?", type=Path, default=None, help="the backup's folder; the newest")
    commands.add_parser("compact", help="a lake: merge small files, apply deletes, let go of what nobody needs")
    commands.add_parser("release", help="draw new keys for persons; the next build releases them under these")
    retaining = commands.add_parser("retention", help="archive and delete versions that contracts no longer keep")
    retaining.add_argument("--dry", action="store_true", help="only say what would go")
    forgetting = commands.add_parser(
        "forget", help="forget persons; without any, forget again what a restore brought back"
    )
    forgetting.add_argument("persons", nargs="*", metavar="source:id", help="or an address")
    forgetting.add_argument("--dry", action="store_true", help="only say who would be forgotten")
    matching = commands.add_parser("match", help="find records of one person by the model in git, and write them down")
    matching.add_argument("--train", action="store_true", help="write a model from the warehouse's records instead")
    matching.add_argument("--list", action="store_true", help="only say which matches and decisions hold")
    unmatching = commands.add_parser("unmatch", help="decide that records are not one person's")
    unmatching.add_argument("records", nargs="+", metavar="source:id")
    unmatching.add_argument("--reason", default="", help="why; it is history")
    unmatching.add_argument("--back", action="store_true", help="take back that they were decided to be apart")
    for each in (matching, unmatching):
        each.add_argument("--source", default="", help="the source of matches; the only one unless given")
    revealing = commands.add_parser("reveal", help="what tokens stand for, to who may know it")
    revealing.add_argument("tokens", nargs="+", metavar="token")
    measuring = commands.add_parser("metric", help="ask for metrics, in their words; without a question, list them")
    measuring.add_argument("question", nargs="?", default="")
    arguments = parser.parse_args()
    try:
        if arguments.command == "take-column":  # which changes the project, and asks no warehouse
            new = new_column(
                arguments.column, arguments.type, arguments.description, arguments.alias, arguments.privacy
            )
            take_column(PROJECT_ROOT, new, _say, arguments.model, arguments.track)
            return 0
        if arguments.command == "new-domain":
            lay_out(PROJECT_ROOT, arguments.name, _say)
            return 0
        if arguments.command == "fhir-view":
            fhir_view(PROJECT_ROOT, arguments.view, arguments.name, arguments.source, _say)
            return 0
        if arguments.command in ("preview", "scaffold"):
            # What reflects a database takes a fifth of a second to import: no other command waits for it.
            from warehouse.project.scaffold.scaffold import preview, scaffold

            schemas, tables = (
                [each for each in text.split(",") if each] for text in (arguments.schemas, arguments.tables)
            )
            with address_of(PROJECT_ROOT, arguments.source):
                if arguments.command == "preview":
                    preview(arguments.source, schemas, tables, _say)
                else:
                    scaffold(
                        PROJECT_ROOT, arguments.source, arguments.domain, schemas, tables, _say,
                        fact=arguments.fact, dry=arguments.dry,
                    )  # fmt: skip
            return 0
        if arguments.command == "decide":
            decide(PROJECT_ROOT, arguments.column, arguments.privacy, _say)
            return 0
        target = current_target()
        off = [] if arguments.command in NO_DOMAINS else leave_out_unused(target)
        if off and arguments.command in ("build", "follow", "backfill", "next-day"):
            _say(f"off, since no source of theirs is configured: {', '.join(off)}; DOMAINS=… has them on")
        if arguments.command == "build":
            ingest, hold = not arguments.no_ingest, arguments.hold
            asked = Request(arguments.select or None, arguments.full, ingest=ingest, hold=hold, by_dbt=arguments.by_dbt)
            build(target, asked, _say)
        elif arguments.command == "diff":
            show_difference(target, _say)
        elif arguments.command == "publish":
            publish_held_build(target, _say)
        elif arguments.command == "backfill":
            if arguments.first > arguments.last:
                parser.error(f"--from {arguments.first} is after --to {arguments.last}")
            build(target, Request(backfill=(arguments.first, arguments.last)), _say)
        elif arguments.command == "rebuild-history":
            rebuild_history(target, _say)
        elif arguments.command == "retire":
            retire(target, arguments.domain, _say)
        elif arguments.command == "rollback":
            roll_back_build(target, _say)
        elif arguments.command == "next-day":
            build(target, Request(extra_days=arguments.days), _say)
        elif arguments.command == "follow":
            seconds, batches = arguments.seconds, arguments.batches
            follow(target, arguments.source, seconds, batches, _say, by_dbt=arguments.by_dbt)
        elif arguments.command == "docs":
            write_docs(target, _say)
        elif arguments.command == "status":
            print_status(target, _say)
        elif arguments.command == "freshness":
            check_freshness(target, _say)
        elif arguments.command == "export":
            columns = tuple(name.strip() for name in arguments.columns.split(",") if name.strip())
            wanted = Wanted(
                arguments.mart, arguments.format, arguments.where, columns, arguments.folder, not arguments.as_is
            )
            export(target, wanted, _say)
        elif arguments.command == "extract":
            tenants = [each.strip() for each in arguments.tenants.split(",") if each.strip()]
            if arguments.role and tenants:
                raise BuildError("a tenant's rows, or what a role may read: say TENANT=… or ROLE=…, not both")
            if arguments.role:
                extract_role(target, arguments.role, arguments.folder, _say)
            else:
                extract_tenant(target, tenants, arguments.folder, _say)
        elif arguments.command == "backup":
            back_up(target, arguments.folder, arguments.keep, _say)
        elif arguments.command == "restore":
            restore(target, arguments.backup, _say)
        elif arguments.command == "worker":
            refuse_without_queue(target)
            from warehouse.build.workers.worker import work  # what it needs is an extra

            work(target, _say, arguments.build)
        elif arguments.command == "compact":
            compact(target, _say)
        elif arguments.command == "release":
            begin_release(target, _say)
        elif arguments.command == "retention":
            retain(target, arguments.dry, _say)
        elif arguments.command == "forget":
            forget(target, arguments.persons, arguments.dry, _say)
        elif arguments.command == "match" and arguments.list:
            list_decisions(target, arguments.source, _say)
        elif arguments.command == "match":
            match(target, arguments.source, _say, train=arguments.train)
        elif arguments.command == "unmatch":
            unmatch(target, arguments.source, arguments.records, arguments.reason, _say, back=arguments.back)
        elif arguments.command == "reveal":
            reveal(target, arguments.tokens, _say)
        elif arguments.command == "metric":
            from warehouse.reading.metrics import answer_question  # MetricFlow takes its time to import

            answer_question(target, arguments.question, _say)
        else:
            query(target, arguments.sql, _say)
    except ConfigurationError as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 2
    except (BuildError, LockError) as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever read, such as `head`, has seen enough; Python would tell of it once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (KeyboardInterrupt, RuntimeError) as error:
        return said_ended(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
