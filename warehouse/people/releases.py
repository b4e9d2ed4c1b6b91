"""Begin a release: whom the warehouse knows is released under keys that nobody has seen before."""

from __future__ import annotations

from collections.abc import Callable

from ingestion.contract.reading import contracts_of
from ingestion.destination.lock import build_lock
from ingestion.destination.target import Target
from ingestion.environment import variables
from ingestion.load.run import load_all
from ingestion.readers.settings import variable
from warehouse.database import open_database
from warehouse.errors import BuildError
from warehouse.publish.access import audited

READER = "draws"


def begin_release(target: Target, say: Callable[[str], None]) -> None:
    """Draw a new key for every person who may ever be released; the next build publishes under these.

    Raises:
        BuildError: no source of the project draws keys, or the draw failed.
    """
    drawing = [contract.name for contract in contracts_of(READER, target.project)]
    if not drawing:
        raise BuildError("no source of the domains that are on draws keys: see ingestion/readers/draws/README.md")
    with build_lock(target):
        with variables({variable(name, "begin"): "true" for name in drawing}):
            loaded, failures = load_all(target, say, only=drawing)
        if failures:
            raise BuildError(f"no release began: {failures[0]}")
        drawn = sum(each.loaded for each in loaded)
        if not drawn:
            raise BuildError("no release began: no person is known yet, `make build` first")
        with open_database(target) as database:
            keys = database.raw(drawing[0], "keys")
            ((number,),) = database.run(f"select max(release_number) from {keys}")
            audited(database, "release", f'{{"release": {number}}}')
    say(f"release {number} began: {drawn:,} keys were drawn; the next `make build` publishes under them")
