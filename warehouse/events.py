"""dbt's events, without those for its own debugging."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, ClassVar

from dbt_common.events.base_types import BaseEvent, EventLevel
from dbt_common.events.event_manager import EventManager


class Events(EventManager):
    """dbt makes a message of every event before it asks who wants it, which is a fifth of a build, for nobody.

    sent: takes each statement that dbt sends to the database, and the unique id of the node that it is for.
    """

    sent: ClassVar[Callable[[str, str], None] | None] = None

    def fire_event(self, e: BaseEvent, level: EventLevel | None = None, *others: Any, **named: Any) -> None:
        """Hand an event on; all of them where DBT_DEBUG asks for them."""
        if Events.sent is not None and type(e).__name__ == "SQLQuery":
            Events.sent(e.node_info.unique_id, e.sql)
        if (level or e.level_tag()) != EventLevel.DEBUG or os.environ.get("DBT_DEBUG"):
            super().fire_event(e, level, *others, **named)
