"""dbt's own task `build` on either side of the queue: one hands its nodes out, the other builds those that it is given.

dbt remains who decides what is built, in which order, and what is skipped where something failed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any, ClassVar

import dbt.task.build
from dbt.adapters.factory import get_adapter
from dbt.artifacts.schemas.results import RunStatus, TestStatus
from dbt.artifacts.schemas.run import RunResult
from dbt.task import group_lookup
from dbt.task.base import BaseRunner
from dbt.task.build import BuildTask
from dbt_common.events.contextvars import task_contextvars

from warehouse.build.compiled import recorded

# How many nodes are handed out at most and not done yet; each has a thread here that waits.
HANDED_OUT = 32

Told = Mapping[str, Any]
BuildNode = Callable[[str, bool], dict[str, Any]]


@contextmanager
def handing_out(built: Callable[[str], Told], give_up: Callable[[], None]) -> Iterator[None]:
    """Within this dbt's command `build` hands its nodes out: see `HandingOut`."""
    HandingOut.built, HandingOut.give_up = staticmethod(built), staticmethod(give_up)
    with _in_its_place(HandingOut):
        yield


@contextmanager
def building(go_on: Callable[[BuildNode], None]) -> Iterator[None]:
    """Within this dbt's command `build` builds the nodes that it is given: see `Building`."""
    Building.go_on = staticmethod(go_on)
    with _in_its_place(Building):
        yield


@contextmanager
def _in_its_place(task: type[BuildTask]) -> Iterator[None]:
    """Have dbt's command `build` run this task."""
    module: Any = dbt.task.build
    own, module.BuildTask = module.BuildTask, task
    try:
        yield
    finally:
        module.BuildTask = own


class HandingOut(BuildTask):
    """Has every node built elsewhere.

    built: takes a node's unique id, waits, and returns what a worker told of it, as `Building.build_node` does.
    give_up: has whoever waits for a node wait no more, and fail.
    above: once all is done, what each node had to wait for, by unique id.
    """

    built: ClassVar[Callable[[str], Told]]
    give_up: ClassVar[Callable[[], None]]
    above: ClassVar[Mapping[str, frozenset[str]]] = {}

    def get_runner_type(self, node: Any) -> Any:
        """As dbt has it, but for where the node is built."""
        return _handing_out(super().get_runner_type(node))

    def execute_nodes(self) -> Any:
        """With a thread for each node that is built elsewhere: what is built here is left to one."""
        self.config.threads = HANDED_OUT
        graph = self.graph.graph
        HandingOut.above = {str(node): frozenset(map(str, graph.predecessors(node))) for node in graph}
        execute: Any = super().execute_nodes
        return execute()

    def _cancel_connections(self, pool: Any) -> None:
        """What a signal has dbt do: it waits for its threads then, which wait for workers."""
        HandingOut.give_up()
        cancel: Any = super()._cancel_connections
        cancel(pool)


@cache
def _handing_out(runner: type[BaseRunner[Any, Any]]) -> type[BaseRunner[Any, Any]]:
    class Elsewhere(runner):  # type: ignore[misc, valid-type]
        def safe_run(self, manifest: Any) -> RunResult:
            told = HandingOut.built(self.node.unique_id)
            is_test = self.node.resource_type in ("test", "unit_test")
            self.node.compiled_code = told["compiled_code"]
            return RunResult(
                status=(TestStatus if is_test else RunStatus)(told["status"]),
                timing=[],
                thread_id=told["worker"],
                execution_time=told["seconds"],
                adapter_response=told["adapter_response"],
                message=told["message"],
                failures=told["failures"],
                batch_results=None,
                node=self.node,
            )

    return Elsewhere


class Building(BuildTask):
    """Builds the nodes that it is given.

    go_on: takes `build_node`, and calls it for as long as there is anything to build.
    """

    go_on: ClassVar[Callable[[BuildNode], None]]
    manifest: Any
    job_queue: Any
    _knows_what_is_there = False

    def run(self) -> None:
        """Prepare as dbt does, but for schemas and hooks, which are the other side's; then build what comes."""
        with task_contextvars(project_root=self.config.project_root):
            initialize: Any = self._runtime_initialize
            initialize()
            group_lookup.init(self.manifest, set(self.job_queue.get_selected_nodes()))
            Building.go_on(self.build_node)

    @classmethod
    def interpret_results(cls, results: Any) -> bool:
        """What came of the nodes is the other side's to judge."""
        return True

    def build_node(self, unique_id: str, is_again: bool) -> dict[str, Any]:
        """Build one node, or ask one test.

        Args:
            unique_id: whose it is.
            is_again: another worker may have built it, or a part of it.

        Returns:
            What dbt says of it: status, message, failures, seconds, adapter_response; what it was compiled to, where it
            is a test; and the statements that were sent for it, where they may be sent again.
        """
        manifest = self.manifest
        node = manifest.nodes.get(unique_id) or manifest.unit_tests[unique_id]
        adapter = get_adapter(self.config)
        self._look(adapter, node, is_again)
        with recorded([unique_id]) as statements:
            result = self.call_runner(self.get_runner(node))
        is_test = node.resource_type in ("test", "unit_test")
        return {
            "status": str(result.status),
            "message": result.message,
            "failures": result.failures,
            "seconds": result.execution_time,
            "adapter_response": {key: value for key, value in result.adapter_response.items() if _is_plain(value)},
            "compiled_code": getattr(result.node, "compiled_code", None) if is_test else None,
            "statements": statements.get(unique_id, []),
        }

    def _look(self, adapter: Any, node: Any, is_again: bool) -> None:
        """Have dbt know which relations are there: it asks once, and others have built some since."""
        with adapter.connection_named("master"):
            if is_again or not self._knows_what_is_there:
                adapter.cache.clear()
                schemas = self.get_model_schemas(adapter, set(self.job_queue.get_selected_nodes()))
                self.populate_adapter_cache(adapter, schemas)
                self._knows_what_is_there = True
            for parent in self._relations_above(node):
                relation = adapter.Relation.create_from(self.config, parent)
                if adapter.get_relation(relation.database, relation.schema, relation.identifier) is None:
                    kind = "view" if parent.config.materialized == "view" else "table"
                    adapter.cache_added(relation.incorporate(type=kind))

    def _relations_above(self, node: Any) -> Iterator[Any]:
        """What a node reads, which is built before it. A unit test is asked before its model is built."""
        if node.resource_type == "unit_test":
            node = self.manifest.nodes[node.depends_on.nodes[0]]
        for unique_id in node.depends_on.nodes:
            parent = self.manifest.nodes.get(unique_id)
            if parent is None or not parent.is_relational:
                continue
            if parent.is_ephemeral_model:
                yield from self._relations_above(parent)
            elif parent.resource_type != "test":
                yield parent


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | bool)
