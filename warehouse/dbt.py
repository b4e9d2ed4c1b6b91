"""dbt in this process: parse, and run with progress."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from ingestion.destination.target import Target, libpq
from ingestion.domains import domains
from ingestion.environment import variables
from ingestion.signals import interrupt_of
from warehouse.errors import BuildError
from warehouse.parts import what_is_off_ignored
from warehouse.results import Outcome


def _invoked(words: list[str], manifest: Any = None, callbacks: list[Callable[[Any], None]] | None = None) -> Any:
    """Call dbt. It is imported here, which takes seconds: a build that finds nothing new does without it."""
    from dbt.cli.main import dbtRunner
    from dbt_common.events.event_manager_client import ctx_set_event_manager

    from warehouse.events import Events

    ctx_set_event_manager(Events())
    with _garbage_kept():
        result = dbtRunner(manifest=manifest, callbacks=callbacks).invoke(words)
    if interrupt := interrupt_of(result.exception):
        # dbt has ended what it had begun, and takes the signal for a failure of its own.
        raise interrupt
    return result


def environment(target: Target, published: bool = False) -> None:
    """Set what profiles.yml reads from the environment, so that dbt and ingestion mean the same warehouse."""
    os.environ["TARGET"] = target.name
    os.environ["WAREHOUSE_DIR"] = str(target.folder)
    os.environ["GRANARY_MARTS_FILE"] = (target.published_file if published else target.next_file).name
    os.environ.setdefault("DBT_SEND_ANONYMOUS_USAGE_STATS", "false")
    if target.name == "sandbox":
        os.environ["SANDBOX_NAME"] = target.prefix.rstrip("_")


def close_connections() -> None:
    """Close what dbt-duckdb keeps open between commands; until then its rows are in the write-ahead log only."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    DuckDBConnectionManager.close_all_connections()


def _arguments(target: Target, command: list[str], published: bool = False) -> list[str]:
    return [
        *command,
        "--project-dir", str(target.project),
        "--profiles-dir", str(target.project),
        "--target", target.name,
        "--target-path", str(target_path(target, published)),
        *(["--vars", "{published_names: true}"] if published else []),
    ]  # fmt: skip


def target_path(target: Target, published: bool = False) -> str:
    """Where dbt's artifacts of this target lie: one folder each, or one would spoil the other's parse cache.

    In `target/`, unless dbt's own DBT_TARGET_PATH says where. `published` are those with the names that readers know.
    Where DOMAINS says which domains are on, it has a folder of its own, too.
    """
    folder = Path(os.environ.get("DBT_TARGET_PATH") or target.project / "target") / target.name
    if "DOMAINS" in os.environ:
        folder /= "_".join(["with", *(domain.name for domain in domains(target.project))])
    return str(folder / "published" if published else folder)


# What the project says doesn't depend on where the warehouse is, but dbt throws its parse cache away when a variable of
# profiles.yml changes. A parse connects to nothing; of a Postgres, relations' names hold the database alone.
_NOWHERE = dict.fromkeys(("WAREHOUSE_DIR", "PGHOST", "PGUSER", "PGPASSWORD", "PGDATABASE"), "nowhere") | {
    "PGPORT": "5432"
}


def parse(target: Target, *, published: bool = False, artifacts: bool = False) -> Any:
    """Parse the project, where `published` with the names that readers know. Returns dbt's manifest.

    With `artifacts` dbt writes it into the target's folder too, which takes as long as to read it.

    Raises:
        BuildError: the project doesn't parse.
    """
    environment(target, published)
    command = [*_arguments(target, ["parse"], published), *([] if artifacts else ["--no-write-json"])]
    database = libpq()["dbname"]
    # Artifacts are written before anything can be put right in them.
    nowhere = variables(_NOWHERE | ({"PGDATABASE": database} if artifacts else {}))
    with what_is_off_ignored(target.project), nowhere:
        result = _invoked(["--quiet", "--log-level", "none", *command])
        if not result.success:
            # From its cache dbt 1.12 finds the metrics of a model twice once the model's YAML has changed.
            told: list[str] = []
            result = _invoked(["--quiet", "--no-partial-parse", *command], callbacks=[partial(_note_semantics, told)])
    if not result.success:
        # dbt says itself that the semantic layer is wrong, and what is wrong with it in events beside.
        reason = " ".join([_first_lines(result.exception), *told[:1]])
        raise BuildError(f"dbt can't parse the project: {reason}")
    if target.engine == "postgres":
        _name_database(result.result, database)
    _link_readers(result.result)
    return result.result


def _note_semantics(told: list[str], event: Any) -> None:
    """Note what an event says is wrong with the semantic layer."""
    if event.info.name == "SemanticValidationFailure":
        told.append(" ".join(str(event.data.msg).split()))


def _name_database(manifest: Any, name: str) -> None:
    """Give relations the database that they lie in, instead of the one that was parsed with."""
    nowhere = _NOWHERE["PGDATABASE"]
    measured = (each.node_relation for each in manifest.semantic_models.values())
    for each in (*manifest.nodes.values(), *manifest.sources.values(), *measured):
        if each.database == nowhere:
            each.database = name
            if each.relation_name:
                each.relation_name = each.relation_name.replace(f'"{nowhere}"', f'"{name}"', 1)


def _link_readers(manifest: Any) -> None:
    """Add the edges that no SQL names: a model with `meta.reads: x` reads each model whose meta has an `x`."""
    models = {each.unique_id: each for each in manifest.nodes.values() if each.resource_type == "model"}
    for reader in models.values():
        if wanted := (reader.config.meta or {}).get("reads"):
            read = [unique_id for unique_id, each in models.items() if wanted in (each.config.meta or {})]
            reader.depends_on.nodes = sorted({*reader.depends_on.nodes, *read})
    manifest.build_parent_and_child_maps()


def run(
    target: Target,
    command: list[str],
    manifest: Any = None,
    progress: Callable[[str], None] | None = None,
    *,
    published: bool = False,
    logged: bool = True,
    task: AbstractContextManager[None] | None = None,
) -> Outcome:
    """Run a dbt command, such as `["build", "--select", "dim_sources+"]`.

    Args:
        target: the warehouse.
        command: dbt's words.
        manifest: a manifest from `parse`, so that dbt doesn't parse again.
        progress: takes a line for each thing built and each test that didn't pass.
        published: speak of the tables by the names that readers know.
        logged: write dbt's log.
        task: within it dbt runs another task than its own.

    Raises:
        BuildError: dbt itself fell over, before it ran anything.
    """
    environment(target, published)
    outcome = Outcome(success=False)
    callbacks = [_watch(progress)] if progress else []
    logging.getLogger("dbt").propagate = False
    parsed = manifest or parse(target, published=published)
    _write_down_followers(parsed)
    words = [
        "--quiet",
        "--log-level",
        "none",
        "--log-level-file",
        "info" if logged else "none",
        "--no-use-colors",
        *_arguments(target, command, published),
        # Of what dbt writes, only its docs are read.
        *([] if command[0] == "docs" else ["--no-write-json"]),
    ]
    try:
        with task or nullcontext():
            result = _invoked(words, parsed, callbacks)
    finally:
        if target.engine == "duckdb":
            close_connections()
    if result.exception is not None and result.result is None:
        raise BuildError(f"dbt {command[0]} fell over: {_first_lines(result.exception)}")
    outcome.success = result.success
    for each in getattr(result.result, "results", None) or ():
        outcome.take(each, manifest)
    return outcome


@contextmanager
def _garbage_kept() -> Iterator[None]:
    """Look for garbage in cycles seldom: each time all objects of a manifest, a hundred thousand, are gone through."""
    thresholds = gc.get_threshold()
    gc.set_threshold(50_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)


def _write_down_followers(manifest: Any) -> None:
    """Beside each model, in `meta` but not in its settings, which follow it (macros/history/following.sql)."""
    models = [node for node in manifest.nodes.values() if node.resource_type == "model"]
    found: dict[str, list[dict[str, Any]]] = {node.name: [] for node in models}
    for node in models:
        if follows := (node.config.meta or {}).get("follows"):
            follower = {"name": node.name, "key": follows["key"], "ignores": follows.get("ignores", [])}
            found[follows["relation"]].append(follower)
    for node in models:
        node.meta = {**node.meta, "followers": found[node.name]}


def _first_lines(error: BaseException | None) -> str:
    return " ".join(str(error).split())[:600]


def _watch(progress: Callable[[str], None]) -> Callable[[Any], None]:
    """Turn dbt's events into progress lines."""
    done = {"LogModelResult": "model", "LogSnapshotResult": "snapshot", "LogSeedResult": "seed"}

    def watch(event: Any) -> None:
        name, data = event.info.name, event.data
        if name in done:
            what = data.node_info.node_name or data.description
            result = data.status.split(" in ")[0].strip()
            progress(f"  [{data.index:>3}/{data.total}] {done[name]} {what}  {result}  {data.execution_time:.1f}s")
        elif name == "LogTestResult" and data.status in ("fail", "error", "warn"):
            progress(f"  [{data.index:>3}/{data.num_models}] test {data.name}  {data.status}, {data.num_failures} rows")

    return watch
