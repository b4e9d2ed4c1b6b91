"""What was tried and what was seen, counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


class BrokenPromiseError(AssertionError):
    """A promise didn't hold. The message says which, and the seed with which to see it again."""


@dataclass
class Tally:
    """Counts by name, in the order of their first mention; `worst` holds maxima, such as the longest wait."""

    counts: Counter[str] = field(default_factory=Counter)
    worst: dict[str, float] = field(default_factory=dict)

    def add(self, name: str, number: int = 1) -> None:
        """Count something; a zero makes it stand in the report."""
        self.counts[name] += number

    def maximum(self, name: str, value: float) -> None:
        """Keep the greatest value seen."""
        self.worst[name] = max(self.worst.get(name, 0.0), value)

    def merge(self, other: Tally) -> None:
        """Take over another's counts."""
        self.counts.update(other.counts)
        for name, value in other.worst.items():
            self.maximum(name, value)

    def lines(self) -> list[str]:
        """One line for each count and maximum."""
        return [f"{name:<44}{number:>12,}" for name, number in self.counts.items()] + [
            f"{name:<44}{value:>12.3f}" for name, value in self.worst.items()
        ]
