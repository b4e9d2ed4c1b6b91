"""dbt's events, without those for its own debugging."""

from __future__ import annotations

import os
from typing import Any

from dbt_common.events.base_types import BaseEvent, EventLevel
from dbt_common.events.event_manager import EventManager


class Events(EventManager):
    """dbt makes a message of every event before it asks who wants it, which is a fifth of a build, for nobody."""

    def fire_event(self, e: BaseEvent, level: EventLevel | None = None, *others: Any, **named: Any) -> None:
        """Hand an event on; all of them where DBT_DEBUG asks for them."""
        if (level or e.level_tag()) != EventLevel.DEBUG or os.environ.get("DBT_DEBUG"):
            super().fire_event(e, level, *others, **named)
