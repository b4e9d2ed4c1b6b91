"""The queue of nodes, in a schema of the catalogs' Postgres: procrastinate's tables, and four things beside them.

- `build`: the one build that hands out nodes, and when it was last seen alive
- `processes`: which process each worker is
- `results`: what came of nodes, which procrastinate doesn't keep
- a fence: no worker that was given up commits to the lake. Whoever looks after workers takes away their rows in
  procrastinate's own table; a trigger on the catalogs' snapshots asks for the row of the worker that commits, which its
  session's name holds. So of two workers that have the same node, one because the other seemed dead, one commits.

Nothing in it outlives a build.
"""

from __future__ import annotations

import json
import os
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import psycopg2

from ingestion.destination.lake import BUILD, MARTS, WORK, Lake
from ingestion.destination.lock import SESSION_OF_WORKER, session_name
from ingestion.destination.target import Target
from ingestion.environment import ConfigurationError

if TYPE_CHECKING:
    from procrastinate import App

# The job that every node is, and the channel on which workers say that they have done one.
NODE, DONE = "build_node", "lake_work_done"
# A worker says so often that it is there; one that hasn't for so long is given up, as is a build.
HEARTBEAT_SECONDS, PATIENCE_SECONDS = 2.0, 20.0

_TABLES = f"""
create table {WORK}.build (
    number bigint generated always as identity, fingerprint text not null, command jsonb not null,
    seen_at timestamptz not null default now()
);
create table {WORK}.processes (
    worker_id bigint primary key references {WORK}.procrastinate_workers on delete cascade,
    host text not null, process_id bigint not null
);
create table {WORK}.results (job_id bigint primary key, result jsonb not null);
create function {WORK}.refuse_who_was_given_up() returns trigger language plpgsql as $$
declare
    worker text := substring(current_setting('application_name') from '{SESSION_OF_WORKER}(\\d+)$');
begin
    if worker is not null then
        -- Whoever gives it up waits until this transaction has ended.
        perform from {WORK}.procrastinate_workers where id = worker::bigint for key share;
        if not found then
            raise exception 'worker % was given up: what it does is done by another one', worker;
        end if;
    end if;
    return new;
end $$
"""


@dataclass(frozen=True)
class Build:
    """A build that hands out nodes.

    fingerprint: that of its project, see `build.inputs`.
    command: what dbt is asked for.
    """

    number: int
    fingerprint: str
    command: list[str]

    @property
    def queue(self) -> str:
        """Where its nodes wait."""
        return f"build_{self.number}"


def asked_workers(target: Target) -> int | None:
    """How many workers of this machine build what is handed out; None where nothing is.

    GRANARY_WORKERS says it, which is make's WORKERS: by that name dlt would take it for a setting of its own.

    Raises:
        ConfigurationError: it is no number, or nobody else can reach this warehouse.
    """
    given = os.environ.get("GRANARY_WORKERS")
    if not given:
        return None
    if not given.isdecimal():
        raise ConfigurationError(f"WORKERS={given}: say how many processes build together, such as WORKERS=2")
    refuse_without_queue(target)
    return int(given)


def refuse_without_queue(target: Target) -> None:
    """Raises ConfigurationError where nothing can be handed out: in all but a lake that other processes can reach."""
    if not target.lake or target.lake.folder:
        have = "a lake whose catalogs are files" if target.lake else f"TARGET={target.name}"
        raise ConfigurationError(
            f"workers build a lake whose catalogs lie in a Postgres, and this is {have}: see docs/lake.md, Workers"
        )
    if find_spec("procrastinate") is None:
        raise ConfigurationError("workers need packages that are not installed: run `make setup TARGET=lake`")


def open_app() -> App:
    """Procrastinate on the catalogs' Postgres, not opened yet."""
    from procrastinate import App, PsycopgConnector

    options = f"{os.environ.get('PGOPTIONS', '')} -c search_path={WORK}".strip()
    # Its sessions have a name of their own: what ends a build's own sessions leaves the queue alone.
    settings = {"options": options, "application_name": WORK}
    return App(connector=PsycopgConnector(kwargs=settings, min_size=1, max_size=4))


def announce(target: Target, fingerprint: str, command: list[str]) -> Build:
    """Begin to hand out, with an empty queue. The lock is held, so nobody else does.

    Raises:
        psycopg2.Error: the catalogs' Postgres refuses.
    """
    assert target.lake
    form = f"procrastinate {version('procrastinate')}, 1"
    with closing(_connected()) as connection, connection.cursor() as cursor:
        cursor.execute("select obj_description(to_regnamespace(%s), 'pg_namespace')", [WORK])
        if cursor.fetchone() != (form,):
            from procrastinate.schema import SchemaManager

            cursor.execute(f"drop schema if exists {WORK} cascade")
            cursor.execute(f"create schema {WORK}")
            cursor.execute(f"set search_path = {WORK}")
            cursor.execute(SchemaManager.get_schema())
            cursor.execute("reset search_path")
            cursor.execute(_TABLES)
            cursor.execute(f"comment on schema {WORK} is %s", [form])
        _fence(cursor, target.lake)
        cursor.execute(
            f"truncate {WORK}.build, {WORK}.results, {WORK}.procrastinate_jobs, {WORK}.procrastinate_workers cascade"
        )
        cursor.execute(
            f"insert into {WORK}.build (fingerprint, command) values (%s, %s) returning number",
            [fingerprint, json.dumps(command)],
        )
        return Build(int(cursor.fetchone()[0]), fingerprint, command)


def _fence(cursor: Any, lake: Lake) -> None:
    """Have the catalogs that a build writes to ask of every commit whether its worker may."""
    for catalog in (BUILD, MARTS):
        cursor.execute(
            "create or replace trigger refuse_who_was_given_up "
            f"before insert on {lake.schema(catalog)}.ducklake_snapshot "
            f"for each row execute function {WORK}.refuse_who_was_given_up()"
        )


def announced() -> Build | None:
    """The build that hands out nodes at present; None where none does.

    Raises:
        psycopg2.Error: the catalogs' Postgres refuses.
    """
    with closing(_connected()) as connection, connection.cursor() as cursor:
        cursor.execute("select to_regclass(%s)", [f"{WORK}.build"])
        if cursor.fetchone() == (None,):
            return None
        cursor.execute(
            f"select number, fingerprint, command from {WORK}.build where seen_at > now() - make_interval(secs => %s)",
            [PATIENCE_SECONDS],
        )
        row = cursor.fetchone()
        return Build(*row) if row else None


def end(build: Build) -> None:
    """Hand out nothing any more. Raises psycopg2.Error."""
    with closing(_connected()) as connection, connection.cursor() as cursor:
        cursor.execute(f"delete from {WORK}.build where number = %s", [build.number])


def name_of_worker(target: Target, worker_id: int) -> str:
    """The name that a worker's sessions have, by which the fence knows them."""
    return f"{session_name(target)}{SESSION_OF_WORKER}{worker_id}"


def _connected() -> Any:
    connection = psycopg2.connect("", application_name=WORK)
    connection.autocommit = True
    return connection
