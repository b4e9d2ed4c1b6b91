"""The command: python -m ingestion.demo simulate | next-day | serve | schema | work."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import DemoError, simulated_domains


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ingestion.demo", description="Granary's simulated company.")
    commands = parser.add_subparsers(dest="command", required=True)
    new = commands.add_parser(
        "simulate",
        help="create or extend the company's systems",
        description="Create the company's systems up to so many days from 2024-01-01, or extend those of the folder to "
        "that many. Nothing happens when they are there already.",
    )
    new.add_argument("--days", type=int, default=730, help="days in all (default: %(default)s)")
    new.add_argument("--scale", type=float, default=1.0, help="size: 1 is about 34 orders a day (default: %(default)s)")
    new.add_argument("--seed", type=int, default=7, help="another seed is another company (default: %(default)s)")
    more = commands.add_parser(
        "next-day", help="simulate one more day", description="Simulate days on top of what is there."
    )
    more.add_argument("--days", type=int, default=1, help="how many more (default: %(default)s)")
    serve = commands.add_parser(
        "serve",
        help="serve the company's systems",
        description="Serve what is no file of the company's systems on 127.0.0.1 until standard input closes or "
        "SIGTERM. The first line of output is JSON: the environment variables "
        "that point the sources at the company's systems.",
    )
    schema = commands.add_parser(
        "schema",
        help="print the tables of its database as SQL",
        description="Print the statements that make its database's tables, change tables and triggers, empty.",
    )
    schema.add_argument("--dialect", choices=["sqlite", "postgres", "mysql"], default="postgres")
    work = commands.add_parser(
        "work",
        help="work with its database",
        description="Change records of its database, the one that libpq's variables name, until standard input closes. "
        "The first line of output is JSON: the source, the table, the columns that tell a record's versions apart. The "
        "last is the number of transactions.",
    )
    work.add_argument("--dry", action="store_true", help="only say what is worked with")
    work.add_argument("--seed", type=int, default=11, help="of the work (default: %(default)s)")
    domains = simulated_domains()
    for command in (new, more, serve, schema, work):
        command.add_argument(
            "--domain",
            choices=domains,
            default=domains[0] if len(domains) == 1 else None,
            required=len(domains) != 1,
            help="whose systems these are",
        )
    for command in (new, more, serve):
        command.add_argument("--folder", type=Path, required=True, help="the company's folder")
    return parser


class _Printed:
    """A cursor that prints what it is to run."""

    def execute(self, statement: str) -> None:
        print(f"{statement};")


def _say_and_wait(words: dict[str, Any]) -> None:
    """Print a line of JSON, and wait until standard input closes or SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())

    def wait_for_input_to_close() -> None:
        # Not sys.stdin: its lock, held by a waiting thread, is fatal when the interpreter ends.
        while os.read(0, 4096):
            pass
        stop.set()

    print(json.dumps(words), flush=True)
    threading.Thread(target=wait_for_input_to_close, daemon=True).start()
    stop.wait()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 0, or 2 when it refuses."""
    options = _parser().parse_args(arguments)
    simulator: Any = importlib.import_module(f"ingestion.demo.{options.domain}")
    try:
        if options.command == "simulate":
            simulator.simulate(options.folder, options.days, seed=options.seed, scale=options.scale)
        elif options.command == "next-day":
            simulator.next_day(options.folder, options.days)
        elif options.command == "schema":
            simulator.create_schema(_Printed(), options.dialect)
        elif options.command == "work":
            work = importlib.import_module(f"{simulator.__name__}.work")
            if options.dry:
                print(json.dumps(work.WORK))
                return 0
            with work.working(options.seed) as stop:
                _say_and_wait(work.WORK)
                print(stop())
        else:
            with simulator.serving(options.folder) as environment:
                _say_and_wait(environment)
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
