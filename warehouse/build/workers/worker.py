"""`make worker`: builds nodes for whoever builds this lake, one after the other."""

from __future__ import annotations

import asyncio
import contextvars
import multiprocessing
import os
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess
from typing import Any

import psycopg2
from procrastinate import App, JobContext
from procrastinate.exceptions import ConnectorException
from procrastinate.worker import Worker
from psycopg.types.json import Jsonb

from ingestion.destination.lake import WORK
from ingestion.destination.target import Target
from warehouse import dbt
from warehouse.build.inputs import project_fingerprint
from warehouse.build.parsed import parsed
from warehouse.build.workers.queue import (
    DONE,
    HEARTBEAT_SECONDS,
    NODE,
    PATIENCE_SECONDS,
    Build,
    announced,
    asked_workers,
    name_of_worker,
    open_app,
)
from warehouse.build.workers.tasks import BuildNode, building
from warehouse.errors import BuildError

Say = Callable[[str], None]

# How an engine says that its session with the catalogs' Postgres is gone: what it did in it is undone, and the node is
# given back.
_LOST = re.compile(
    r"terminating connection|server closed the connection|connection to server .* failed|connection not open"
    r"|no connection to the server|SSL connection has been closed|was given up: what it does",
    re.IGNORECASE,
)
_LOOKING_SECONDS = 1.0
_TOLD_AT_MOST = 5
# How many processes of one machine may end before the build does, for each of them.
LOST_AT_MOST = 20
# After how long it is said that one hasn't ended, because it builds something.
ENDING_SECONDS = 3.0


def work(target: Target, say: Say, only: int | None = None) -> None:
    """Take part in this lake's builds, until a signal ends it, by as many processes as GRANARY_WORKERS says, or one.

    This process knows the project, and they are forked from it: so another one begins at once, and all share what they
    only read. It opens no database and has no threads.

    Args:
        target: the lake, see `queue.refuse_without_queue`.
        say: takes lines of progress.
        only: the number of one build: when that is over, so is this.

    Raises:
        BuildError: the project doesn't parse, `only` is built from another one, or processes end as soon as they begin.
    """
    refused: set[int] = set()
    said = only is not None
    while True:
        build = _looked()
        if only is not None and (build is None or build.number != only):
            return
        if build is None or build.number in refused:
            if not said:
                say("waiting for a build of this lake; Ctrl-C ends this")
                said = True
            time.sleep(_LOOKING_SECONDS)
            continue
        if project_fingerprint(target) != build.fingerprint:
            reason = "its project, its packages or its settings are not those of this machine: bring both to one commit"
            if only is not None:
                raise BuildError(f"this worker can't take part in build {build.number}: {reason}")
            say(f"not taking part in build {build.number}: {reason}")
            refused.add(build.number)
            continue
        try:
            _take_part(target, build, max(1, asked_workers(target) or 1), say)
        except KeyboardInterrupt:
            if only is not None and _looked() is None:
                return
            raise
        said = only is not None


def _looked() -> Build | None:
    """The build that is announced; None too while the catalogs' Postgres can't be asked, which may pass."""
    try:
        return announced()
    except psycopg2.OperationalError:
        return None


def _take_part(target: Target, build: Build, count: int, say: Say) -> None:
    """Have so many processes build nodes until the build is over."""
    parsed(target, build.fingerprint)
    say(f"taking part in build {build.number}")
    fork = multiprocessing.get_context("fork")

    def started() -> ForkProcess:
        process = fork.Process(target=_build_nodes, args=(target, build, count, os.getpid(), say))
        process.start()
        return process

    processes = [started() for _ in range(count)]
    lost = 0
    try:
        while (now := _looked()) is None or now.number == build.number:
            if now is None and all(not each.is_alive() for each in processes):
                break
            wait([each.sentinel for each in processes], timeout=_LOOKING_SECONDS)
            for place, each in enumerate(processes):
                if not each.is_alive() and now is not None:
                    lost += 1
                    if lost > LOST_AT_MOST * count:
                        raise BuildError(f"workers end as soon as they begin, the last with status {each.exitcode}")
                    processes[place] = started()
    finally:
        _end(processes, say)
    say(f"build {build.number} is over")


def _end(processes: list[ForkProcess], say: Say) -> None:
    """Have them end once they have built what they are at; a second signal ends them at once."""
    for each in processes:
        each.terminate()
    try:
        for each in processes:
            each.join(ENDING_SECONDS)
        if left := [each for each in processes if each.is_alive()]:
            say(f"ending once {len(left)} nodes are built; Ctrl-C ends them at once, and other workers build them")
            for each in left:
                each.join()
    finally:
        for each in processes:
            each.kill()
            each.join()


def _build_nodes(target: Target, build: Build, count: int, parent: int, say: Say) -> None:
    """A process of its own: build nodes until the build is over, or this worker is given up or lost its session."""
    os.setsid()
    os.environ["DUCKDB_MEMORY_LIMIT"] = _share(os.environ.get("DUCKDB_MEMORY_LIMIT", "4GB"), count)
    project = parsed(target, build.fingerprint)

    def go_on(build_node: BuildNode) -> None:
        asyncio.run(_serve(target, build, build_node, parent, say))

    # Its log would be that of whoever hands out, who is told of every node.
    dbt.run(target, build.command, project.manifest, logged=False, task=building(go_on))


def _share(limit: str, count: int) -> str:
    """DuckDB's limit of memory, of which so many processes have the same share."""
    given = re.fullmatch(r"([\d.]+)\s*([a-zA-Z]+)", limit)
    return f"{float(given[1]) / count:g}{given[2]}" if given else limit


async def _serve(target: Target, build: Build, build_node: BuildNode, parent: int, say: Say) -> None:
    app = open_app()
    # dbt and DuckDB stay in one thread, with what dbt knows of this command.
    with ThreadPoolExecutor(1) as thread:

        @app.task(name=NODE, pass_context=True)
        async def node(context: JobContext, unique_id: str, is_again: bool) -> None:
            job = context.job
            if not os.environ.get("PGAPPNAME", "").endswith(f" {job.worker_id}"):
                os.environ["PGAPPNAME"] = name_of_worker(target, int(job.worker_id or 0))
                await app.connector.execute_query_async(
                    f"insert into {WORK}.processes values (%(worker)s, %(host)s, %(process)s)",
                    worker=job.worker_id, host=os.uname().nodename, process=os.getpid(),
                )  # fmt: skip
            run = contextvars.copy_context().run
            told = await asyncio.get_running_loop().run_in_executor(thread, run, build_node, unique_id, is_again)
            told["worker"] = f"worker {job.worker_id}"
            if told["status"] == "error" and _LOST.search(told["message"] or ""):
                say(f"{unique_id.split('.')[2]} is given back: {' '.join(told['message'].split())[:200]}")
                told = {"given_back": told["message"]}
                worker.stop()
            await _tell(app, int(job.id or 0), told)

        async with app.open_async():
            worker = Worker(
                app, queues=[build.queue], name="granary", fetch_job_polling_interval=_LOOKING_SECONDS,
                update_heartbeat_interval=HEARTBEAT_SECONDS, stalled_worker_timeout=PATIENCE_SECONDS,
                delete_jobs="always",
            )  # fmt: skip
            watching = asyncio.create_task(_stop_when_over(app, build, worker, parent))
            try:
                await worker.run()
            finally:
                watching.cancel()


async def _tell(app: App, job_id: int, told: dict[str, Any]) -> None:
    """Tell what came of a node, again where a session was ended meanwhile."""
    for attempt in range(_TOLD_AT_MOST):
        await asyncio.sleep(attempt / 2)
        with suppress(ConnectorException):
            await app.connector.execute_query_async(
                f"insert into {WORK}.results values (%(job)s, %(told)s) on conflict do nothing",
                job=job_id, told=Jsonb(told),
            )  # fmt: skip
            await app.connector.execute_query_async(f"notify {DONE}")
            return


async def _stop_when_over(app: App, build: Build, worker: Worker, parent: int) -> None:
    """Stop when the build is over or its builder gone, when this worker was given up, and without its parent."""
    while os.getppid() == parent:
        await asyncio.sleep(_LOOKING_SECONDS)
        with suppress(ConnectorException):
            [found] = await app.connector.execute_query_all_async(
                f"select exists (select from {WORK}.build where number = %(number)s "
                "and seen_at > now() - make_interval(secs => %(patience)s)) as is_on, "
                f"exists (select from {WORK}.procrastinate_workers where id = %(worker)s) as is_known",
                number=build.number, patience=PATIENCE_SECONDS, worker=worker.worker_id,
            )  # fmt: skip
            if not found["is_on"] or (worker.worker_id is not None and not found["is_known"]):
                break
    worker.stop()
