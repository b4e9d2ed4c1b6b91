"""The builder's side of the queue: hands nodes out, waits for what came of them, and looks after workers."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import psycopg2
from procrastinate.exceptions import ConnectorException

from ingestion.destination.lake import WORK
from ingestion.destination.target import Target
from warehouse.build.workers.queue import DONE, HEARTBEAT_SECONDS, NODE, PATIENCE_SECONDS, announce, end, open_app
from warehouse.build.workers.tasks import HandingOut
from warehouse.build.workers.timing import timing
from warehouse.errors import BuildError
from warehouse.results import Outcome

# How many workers may be lost over one node before that is the node's fault.
LOST_AT_MOST = 3
# After how long without any worker that is said.
ALONE_SECONDS = 15.0
# How long workers of this machine may take to end, before they are told again, and killed.
ENDING_SECONDS = 5.0


async def _results(
    connection: psycopg.AsyncConnection[Any], job_ids: Iterable[int]
) -> list[tuple[int, dict[str, Any]]]:
    rows = await connection.execute(
        f"select job_id, result from {WORK}.results where job_id = any(%s)", [list(job_ids)]
    )
    return await rows.fetchall()


@dataclass
class Office:
    """As a context: a build whose nodes workers build, some of this machine and whoever has joined.

    target: the lake.
    fingerprint, command: as `queue.Build` has them.
    workers: how many are started here, which end with it.
    say: takes lines of progress.
    """

    target: Target
    fingerprint: str
    command: list[str]
    workers: int
    say: Callable[[str], None]
    statements: dict[str, list[str]] = field(default_factory=dict)
    lost: int = 0

    def __enter__(self) -> Office:
        try:
            self.build = announce(self.target, self.fingerprint, self.command)
        except psycopg2.Error as error:
            raise BuildError(f"workers can't be given anything: {str(error).strip().splitlines()[0]}") from error
        self._waiting: dict[int, asyncio.Future[dict[str, Any] | None]] = {}
        self._broken = ""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="office", daemon=True)
        self._thread.start()
        self._app = open_app()
        self._called(self._app.connector.open_async())
        self._tasks = [
            asyncio.run_coroutine_threadsafe(each, self._loop) for each in (self._hear(), self._look_after())
        ]
        for task in self._tasks:
            task.add_done_callback(self._note_end)
        self._here = self._started() if self.workers else None
        self._began = time.monotonic()
        return self

    def __exit__(self, *failure: object) -> None:
        self.seconds = time.monotonic() - self._began
        with suppress(psycopg2.Error):
            end(self.build)
        if self._here:
            for end_it in (self._here.terminate, self._here.terminate, self._here.kill):
                end_it()
                with suppress(subprocess.TimeoutExpired):
                    self._here.wait(ENDING_SECONDS)
                    break
        for task in self._tasks:
            task.cancel()
        with suppress(ConnectorException):
            self._called(self._app.close_async())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def built(self, unique_id: str) -> dict[str, Any]:
        """Have a node built. Returns what a worker told of it, see `tasks.Building.build_node`.

        Raises:
            BuildError: nobody could: workers were lost over it, or the catalogs' Postgres was.
        """
        told: dict[str, Any] = self._called(self._built(unique_id))
        if statements := told.pop("statements"):
            self.statements[unique_id] = statements
        return told

    def give_up(self) -> None:
        """Have nobody wait for a node any more: the build is interrupted."""
        self._loop.call_soon_threadsafe(self._break, "the build was interrupted")

    def sum_up(self, outcome: Outcome) -> None:
        """Say what workers did, and what more of them would bring."""
        seconds = {str(node.unique_id): outcome.seconds[node.name] for node, _ in outcome.nodes}
        found = timing(seconds, HandingOut.above)
        lost = f"; {self.lost} nodes were taken over from workers that were lost" if self.lost else ""
        self.say(f"workers built {len(seconds)} nodes: {found.seconds:.0f} s of work in {self.seconds:.0f} s{lost}")
        slowest = sorted(found.chain, key=lambda each: -seconds[each])[:3]
        self.say(
            f"the longest chain takes {found.chain_seconds:.0f} s ({found.serial_share:.0%} of it; most of all "
            f"{', '.join(each.split('.')[2] for each in slowest)}): computed, 8 machines with a worker each need "
            f"{found.with_workers(8):.0f} s, and no number of them less than the chain"
        )

    def _called(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    async def _built(self, unique_id: str) -> dict[str, Any]:
        for attempt in range(LOST_AT_MOST):
            if self._broken:
                break
            job = self._app.configure_task(NODE, queue=self.build.queue)
            job_id = await job.defer_async(unique_id=unique_id, is_again=attempt > 0)
            self._waiting[job_id] = self._loop.create_future()
            if told := await self._waiting[job_id]:
                return told
        raise BuildError(self._broken or f"{LOST_AT_MOST} workers were lost while they built it")

    async def _hear(self) -> None:
        """Take what workers tell, for as long as there is a build."""
        lost_since = None
        while True:
            try:
                async with await psycopg.AsyncConnection.connect("", autocommit=True, application_name=WORK) as heard:
                    await heard.execute(f"listen {DONE}")
                    while True:
                        lost_since = None
                        # They stay there: what was taken and never arrived would be lost.
                        for job_id, result in await _results(heard, self._waiting):
                            self._answer(job_id, None if "given_back" in result else result)
                        async for _ in heard.notifies(timeout=1, stop_after=1):
                            pass
            except psycopg.OperationalError as error:
                lost_since = lost_since or time.monotonic()
                if time.monotonic() - lost_since > PATIENCE_SECONDS:
                    self._break(f"the catalogs' Postgres is gone: {str(error).strip().splitlines()[0]}")
                await asyncio.sleep(1)

    async def _look_after(self) -> None:
        """Say that this build is there, give up workers that are not, and hand out again what they had."""
        heard_of_one = time.monotonic()
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS / 2)
            with suppress(ConnectorException):
                query = self._app.connector.execute_query_all_async
                await query(
                    f"update {WORK}.build set seen_at = now() where number = %(n)s returning 1", n=self.build.number
                )
                await self._app.job_manager.prune_stalled_workers(PATIENCE_SECONDS)
                await self._give_up_the_dead()
                if self._here and self._here.poll() is not None:
                    self._break(f"this machine's workers ended with status {self._here.returncode}: see above")
                await self._take_over()
                [there] = await query(f"select count(*) as workers from {WORK}.procrastinate_workers")
                if there["workers"]:
                    heard_of_one = time.monotonic()
                elif time.monotonic() - heard_of_one > ALONE_SECONDS:
                    self.say("waiting for workers: run `make worker` where the project and its variables are the same")
                    heard_of_one = time.monotonic()

    async def _take_over(self) -> None:
        """Hand out again what workers had that were given up, and what ended without a word."""
        stalled = await self._app.job_manager.get_stalled_jobs(
            queue=self.build.queue, seconds_since_heartbeat=PATIENCE_SECONDS
        )
        lost, asked = {int(each.id or 0) for each in stalled}, list(self._waiting)
        query = self._app.connector.execute_query_all_async
        jobs = await query(f"select id from {WORK}.procrastinate_jobs where id = any(%(asked)s)", asked=asked)
        silent = set(asked) - {each["id"] for each in jobs}
        # A worker tells of a node before it ends the job: what is told of none now, never will be.
        told = await query(f"select job_id from {WORK}.results where job_id = any(%(silent)s)", silent=list(silent))
        for job_id in (lost | silent - {each["job_id"] for each in told}) & self._waiting.keys():
            self.lost += 1
            self._answer(job_id, None)

    async def _give_up_the_dead(self) -> None:
        """Those of this machine: nobody need wait until they haven't been heard of for long enough."""
        query = self._app.connector.execute_query_all_async
        here = await query(
            f"select worker_id, process_id from {WORK}.processes where host = %(host)s", host=os.uname().nodename
        )
        dead = [each["worker_id"] for each in here if not Path(f"/proc/{each['process_id']}/exe").exists()]
        if dead:
            await query(f"delete from {WORK}.procrastinate_workers where id = any(%(dead)s) returning id", dead=dead)

    def _answer(self, job_id: int, told: dict[str, Any] | None) -> None:
        future = self._waiting.pop(job_id, None)
        if future and not future.done():
            future.set_result(told)

    def _break(self, reason: str) -> None:
        self._broken = reason
        for job_id in list(self._waiting):
            self._answer(job_id, None)

    def _note_end(self, task: concurrent.futures.Future[None]) -> None:
        """Without either of its tasks the build would wait for ever."""
        if not task.cancelled() and (error := task.exception()):
            self._loop.call_soon_threadsafe(self._break, f"workers aren't looked after any more: {error!r}")

    def _started(self) -> subprocess.Popen[bytes]:
        # Signals of a terminal are for the build, which ends its workers.
        command = [sys.executable, "-m", "warehouse", "worker", "--build", str(self.build.number)]
        return subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)
