"""What more workers would bring: the longest chain of a build's graph beside all of its work."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter


@dataclass(frozen=True)
class Timing:
    """What the nodes of a build took.

    seconds: of all nodes together.
    chain: the nodes of the longest chain, each of which had to wait for the one before; by unique id.
    chain_seconds: theirs.
    """

    seconds: float
    chain: tuple[str, ...]
    chain_seconds: float

    @property
    def serial_share(self) -> float:
        """The share of the work that no second worker can take."""
        return self.chain_seconds / self.seconds if self.seconds else 1.0

    def with_workers(self, count: int) -> float:
        """The seconds that `count` workers need at most, each with a machine as fast as this, computed.

        While any node waits, all workers have one: (work - chain) / count + chain, which is Graham's bound for list
        scheduling (R. L. Graham, Bounds on multiprocessing timing anomalies, 1969) as Brent's theorem has it.
        """
        return (self.seconds - self.chain_seconds) / count + self.chain_seconds


def timing(seconds: Mapping[str, float], above: Mapping[str, Collection[str]]) -> Timing:
    """Find the longest chain.

    Args:
        seconds: of each node, by unique id.
        above: the nodes for which each has to wait. Those without seconds took none.
    """
    ends: dict[str, tuple[float, str]] = {}
    for node in TopologicalSorter({each: above.get(each, ()) for each in above}).static_order():
        before = max(((ends[each][0], each) for each in above.get(node, ())), default=(0.0, ""))
        ends[node] = (before[0] + seconds.get(node, 0.0), before[1])
    if not ends:
        return Timing(0.0, (), 0.0)
    node = max(ends, key=lambda each: ends[each][0])
    longest, chain = ends[node][0], []
    while node:
        if node in seconds:
            chain.append(node)
        node = ends[node][1]
    return Timing(sum(seconds.values()), tuple(reversed(chain)), longest)
