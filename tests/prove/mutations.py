"""The tests can fail: faults planted in a copy of the project, each of which some test must catch."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ingestion.project import PROJECT_ROOT
from tests.prove.tally import BrokenPromiseError, Tally

# Days that come late and out of order, corrections before their originals, a rollback, loads that commit late: before
# anything is built, and after others were.
PLAN = [
    ["days", 1], ["deliver", 5], ["late commit", 0], ["build", 0], ["days", 1], ["deliver", 3], ["build", 0],
    ["roll back", 0], ["deliver", 7], ["days", 2], ["late commit", 0], ["build", 0],
]  # fmt: skip


@dataclass(frozen=True)
class Mutation:
    """One planted fault: in `file` the text `old` becomes `new`; `check` is run and must fail."""

    name: str
    file: str
    old: str
    new: str
    check: list[str]


def tests(*names: str) -> list[str]:
    """A check by pytest, of tests that are part of `make test`."""
    return ["-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *names]


A_PATH = tests("tests/tiny/test_prove.py", "-k", "comes_out_the_same")


MUTATIONS = (
    Mutation(
        "a lost delete: rows of touched keys stay", "macros/history/touched_keys.sql",
        "    delete from {{ target_relation }} as target\n    where {{ is_touched }};\n", "", A_PATH,
    ),
    Mutation(
        "a watermark of load ids instead of the ledger's numbers", "warehouse/ledger.py",
        "                and not exists (select 1 from {loads} as known where known.load_id = d.load_id)\n",
        "                and d.load_id > (select coalesce(max(known.load_id), '') from {loads} as known)\n", A_PATH,
    ),
    Mutation(
        "the order of loading decides versions", "macros/portable/latest_versions.sql",
        "                        log.valid_at desc, log.source_revision desc, log.observed_at desc\n",
        "                        log.load_id desc, log.source_revision desc\n",
        tests("tests/tiny/test_paths.py", "-k", "late_and_corrected and duckdb"),
    ),
    Mutation(
        "equal neighbours are not merged", "macros/history/snapshot_change_log.sql",
        "        where previous_hash is null or previous_hash <> content_hash\n", "        where true\n",
        tests("tests/tiny/test_paths.py", "-k", "late_and_corrected and duckdb"),
    ),
    Mutation(
        "aggregates don't follow their fact", "macros/history/following.sql",
        "        '{{ follower.name }}', {{ last_entry(follower.name) }}, cast(",
        "        'nobody', {{ last_entry(follower.name) }}, cast(", A_PATH,
    ),
    Mutation(
        "a generation half-built can be rolled back to", "warehouse/ledger.py",
        "    database.run(f\"delete from {database.next('ops', 'generation')}\")\n", "",
        tests("tests/tiny/test_generations.py", "-k", "duckdb"),
    ),
    Mutation(
        "what a load concerns is not built", "warehouse/build/selection.py",
        "any(is_written(written, table, entry.load_number) for", "any(False for", A_PATH,
    ),
    Mutation(
        "a dimension is not made for a new member", "warehouse/build/changes.py",
        '        return None if before == [(f"{number} {count} {total}",)] else ANY\n', "        return None\n",
        tests("tests/tiny/test_selection.py", "-k", "concerns_is_built and duckdb"),
    ),
    Mutation(
        "changed rows are not asked about", "warehouse/build/changes.py",
        "        if not changed:\n            return None\n", "        return None\n",
        tests("tests/tiny/test_selection.py", "-k", "tested_where_rows_changed and duckdb"),
    ),
    Mutation(
        "a test that passed is never asked again", "warehouse/build/testing.py",
        "        or passed.get(unique_id) != now[unique_id]\n"
        "        or not built.isdisjoint(lineage.above(unique_id))\n",
        "        or unique_id not in passed\n", tests("tests/tiny/test_selection.py", "-k", "asked_again and duckdb"),
    ),
    Mutation(
        "a grant forgotten", "warehouse/publish/publish.py", "                align_rights(database, name)\n", "",
        tests("tests/tiny/test_rights.py"),
    ),
    Mutation(
        "failed tests don't hold up a publish", "warehouse/build/build.py",
        "        if not outcome.success:\n", "        if outcome.failed > 1_000:\n",
        tests("tests/tiny/test_runs.py", "-k", "failing_test and duckdb"),
    ),
    Mutation(
        "rejects are counted and not kept", "ingestion/load/judging.py",
        '        return self._copy("select * from rejects", "rejects")\n',
        '        return self._copy("select * from rejects where false", "rejects")\n',
        tests("tests/ingestion/test_loading.py"),
    ),
    Mutation(
        "repeats of a source are not told from new records", "ingestion/load/judging.py",
        "        if extract.compare_since is not None and read:\n", "        if extract.compare_since is None:\n",
        tests("tests/ingestion/test_loading.py"),
    ),
)  # fmt: skip


def plant(mutation: Mutation, root: Path) -> None:
    """Change the file of a copy of the project. Raises BrokenPromiseError where its text isn't there exactly once."""
    path = root / mutation.file
    text = path.read_text(encoding="utf-8")
    if text.count(mutation.old) != 1:
        raise BrokenPromiseError(f"{mutation.file} has the text of '{mutation.name}' {text.count(mutation.old)} times")
    path.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")


def copy_project(root: Path) -> None:
    """Copy what git knows of the project, as it lies in the folder now; links stay links."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT_ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    for name in listed.splitlines():
        path = PROJECT_ROOT / name
        if path.is_symlink() or path.is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, root / name, follow_symlinks=False)


def prove_mutations(mutations: Sequence[Mutation], folder: Path, tally: Tally, say: Callable[[str], None]) -> None:
    """Plant each fault in a copy of its own and run what must catch it. Says a line for each.

    Raises:
        BrokenPromiseError: a fault goes unnoticed, or what must catch it fails without any.
    """
    copy_project(folder / "sound")
    for check in dict.fromkeys(tuple(mutation.check) for mutation in mutations):
        status, last = _run(check, folder / "sound")
        if status:
            raise BrokenPromiseError(f"without a planted fault `{' '.join(check)}` fails: {last}")
    say("without a fault all checks pass")
    unnoticed = []
    for number, mutation in enumerate(mutations):
        root = folder / f"mutation_{number}"
        copy_project(root)
        plant(mutation, root)
        status, by = _run(mutation.check, root)
        caught = status != 0
        say(f"{'caught' if caught else 'UNNOTICED'}: {mutation.name}: {by}")
        tally.add("mutations planted")
        tally.add("mutations caught", int(caught))
        if not caught:
            unnoticed.append(mutation.name)
        shutil.rmtree(root, ignore_errors=True)
    if unnoticed:
        raise BrokenPromiseError(f"planted and not caught: {'; '.join(unnoticed)}")


def _run(check: Sequence[str], root: Path) -> tuple[int, str]:
    """Run a check in a copy of the project. Returns its status, and the line that says why."""
    environment = {name: value for name, value in os.environ.items() if name not in ("WAREHOUSE_DIR", "TARGET")}
    done = subprocess.run([sys.executable, *check], cwd=root, env=environment, capture_output=True, text=True)
    said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    by = next((line for line in said if line.startswith(("FAILED", "E   ", "BROKEN"))), said[-1] if said else "")
    return done.returncode, " ".join(by.split())[:140]
