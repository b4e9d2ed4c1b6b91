"""How long an API asks to wait before it is asked again."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import requests

LONGEST_WAIT = 300.0  # seconds; an API that asks for more is asked again by the next load


def retry_after(response: requests.Response) -> float | None:
    """Seconds that the reply asks to wait, from either form of the header (RFC 9110, 10.2.3)."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isdigit():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None
