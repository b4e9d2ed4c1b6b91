"""`make compact`: a lake's small files merged, its deletes applied, and let go of what nobody needs any more.

Every commit to a lake writes files of its own and leaves those that it replaces where they are. Here what was written
in pieces is written together, rows that were deleted are left out, snapshots end that are neither published nor new,
and the files that no snapshot names are deleted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from ingestion.destination.lake import BUILD, MARTS, Lake
from ingestion.destination.lock import build_lock
from ingestion.destination.target import Target
from warehouse.database import Database, open_database
from warehouse.errors import BuildError
from warehouse.publish import lake as publishing

# A file in which more than this share of rows is deleted is written anew.
DELETED_SHARE = 0.1
# For so long what no snapshot names stays where it is: somebody may be reading it.
READERS_HAVE = "1 hour"


class Stored(NamedTuple):
    """What a lake takes: its files, those among them that say which rows are deleted, and their bytes."""

    files: int
    delete_files: int
    bytes: int


def compact(target: Target, say: Callable[[str], None], *, nothing_before: bool = False) -> None:
    """Compact a lake.

    Args:
        target: the warehouse.
        say: takes lines of progress.
        nothing_before: let go at once of everything but the present generation: no row that is deleted stays in any
            file, and nothing goes back.

    Raises:
        BuildError: it is no lake, or nothing is there yet.
    """
    if target.lake is None:
        raise BuildError(
            "only a lake has files to compact, with TARGET=lake: DuckDB's own files and Postgres's tables look after "
            "themselves"
        )
    if not target.lake.has(MARTS):
        raise BuildError("there is no lake yet: run `make build` first")
    started = time.monotonic()
    with build_lock(target), open_database(target) as database:
        before = stored(database, target.lake)
        share = 0.0 if nothing_before else DELETED_SHARE
        for catalog in (BUILD, MARTS):
            database.run(f"call ducklake_rewrite_data_files('{catalog}', delete_threshold => {share})")
            database.run(f"call ducklake_merge_adjacent_files('{catalog}')")
        if _is_published(database, target.lake):
            publishing.follow_compaction(database)
        if nothing_before and target.has_published:
            publishing.forget_before(database)
        published = sorted(publishing.snapshots(target.lake)) if target.has_published else []
        for catalog, kept in ((BUILD, []), (MARTS, published)):
            _let_go(database, catalog, kept)
            which = "cleanup_all => true" if nothing_before else f"older_than => now() - interval '{READERS_HAVE}'"
            database.run(f"call ducklake_cleanup_old_files('{catalog}', {which})")
            # A commit that was cut short leaves files that no catalog names.
            database.run(f"call ducklake_delete_orphaned_files('{catalog}', {which})")
        after = stored(database, target.lake)
    say(
        f"compacted in {time.monotonic() - started:.0f} s: {before.files:,} files of {before.bytes / 1e6:,.1f} MB are "
        f"{after.files:,} of {after.bytes / 1e6:,.1f} MB; files of deletes {before.delete_files:,}, "
        f"now {after.delete_files:,}; published snapshots that are kept: {len(published)}"
    )


def stored(database: Database, lake: Lake) -> Stored:
    """What the lake takes, whatever snapshot its files are of; not counted is what no catalog names."""
    files = deletes = size = 0
    for catalog in (BUILD, MARTS):
        place = lake.own_tables(catalog)
        for table in ("ducklake_data_file", "ducklake_delete_file"):
            [(count, taken)] = database.run(f"select count(*), coalesce(sum(file_size_bytes), 0) from {place}.{table}")
            files, size = files + int(count), size + int(taken)
            deletes += int(count) if table == "ducklake_delete_file" else 0
    return Stored(files, deletes, size)


def _is_published(database: Database, lake: Lake) -> bool:
    """Whether the marts are as they were published: no build has begun in them since."""
    generation = database.next("ops", "generation")
    if not database.target.has_published or not database.exists(generation):
        return False
    kept = publishing.snapshots(lake)
    return database.run(f"select generation_number from {generation}") == [(kept[max(kept)],)]


def _let_go(database: Database, catalog: str, kept: list[int]) -> None:
    """End the snapshots of a catalog but these and the present one."""
    [(present,)] = database.run(f"select id from ducklake_current_snapshot('{catalog}')")
    there = database.run(f"select snapshot_id from ducklake_snapshots('{catalog}')")
    going = sorted({int(each) for (each,) in there} - {int(present), *kept})
    if going:
        listed = ", ".join(map(str, going))
        database.run(f"call ducklake_expire_snapshots('{catalog}', versions => [{listed}])")
