"""Telling people: by webhook and by e-mail, once when something begins and once when it is over.

Settings are variables: ALERTS__WEBHOOK_URL, ALERTS__MAIL_TO, and the mail server's of `orchestration/mail.py`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from email.message import EmailMessage
from pathlib import Path

import requests

from ingestion.destination.target import Target
from ingestion.environment import ConfigurationError
from orchestration.alerts.conditions import Alert, as_json, as_text
from orchestration.mail import MAIL_ERRORS, SECONDS, mail_server, mail_setting, sender_of


def tell(target: Target, alerts: list[Alert], say: Callable[[str], None]) -> tuple[int, int]:
    """Tell what is new and what is over since the last time. Returns how many of each.

    What could not be delivered is tried again the next time: nothing counts as told before everybody was.

    Raises:
        ConfigurationError: a setting is wrong.
    """
    open_before = _read(target)
    open_now = {alert.key: alert for alert in alerts}
    begun = [alert for key, alert in open_now.items() if key not in open_before]
    over = [alert for key, alert in open_before.items() if key not in open_now]
    told = {key: alert for key, alert in open_before.items() if key in open_now}
    for state, listed in (("PROBLEM", begun), ("RESOLVED", over)):
        for alert in listed:
            say(as_text(alert, state).replace("\n", "; "))
            if not _deliver(alert, state, say):
                if state == "RESOLVED":
                    told[alert.key] = alert
                continue
            if state == "PROBLEM":
                told[alert.key] = alert
    _write(target, told)
    return len(begun), len(over)


def _deliver(alert: Alert, state: str, say: Callable[[str], None]) -> bool:
    """Hand an alert to every way that is configured. Says which failed, and returns whether none did."""
    failed = []
    ways = (
        ("ALERTS__WEBHOOK_URL", os.environ.get("ALERTS__WEBHOOK_URL"), _by_webhook),
        ("ALERTS__SMTP_URL", mail_setting("alerts", "smtp_url"), _by_mail),
    )
    for name, address, way in ways:
        if not address:
            continue
        try:
            way(address, alert, state)
        except (requests.RequestException, *MAIL_ERRORS) as error:
            failed.append(f"  {name}: not delivered, tried again next time: {str(error).splitlines()[0]}")
    for line in failed:
        say(line)
    return not failed


def _by_webhook(url: str, alert: Alert, state: str) -> None:
    headers = {"Content-Type": "application/json"}
    requests.post(url, data=as_json(alert, state), headers=headers, timeout=SECONDS).raise_for_status()


def _by_mail(url: str, alert: Alert, state: str) -> None:
    receiver = mail_setting("alerts", "mail_to")
    if not receiver:
        raise ConfigurationError("ALERTS__SMTP_URL is set, and ALERTS__MAIL_TO says who gets the mail: set it too")
    message = EmailMessage()
    message["Subject"] = f"[Granary] {state}: {alert.key}"
    message["From"] = sender_of("alerts", url)
    message["To"] = receiver
    message.set_content(as_text(alert, state))
    with mail_server(url, "ALERTS__SMTP_URL") as server:
        server.send_message(message)


def _path(target: Target) -> Path:
    return target.folder / f"{target.prefix}alerts.{target.name}.json"


def _read(target: Target) -> dict[str, Alert]:
    path = _path(target)
    if not path.exists():
        return {}
    listed = json.loads(path.read_text(encoding="utf-8"))
    return {each["key"]: Alert(**{**each, "since": datetime.fromisoformat(each["since"])}) for each in listed}


def _write(target: Target, told: dict[str, Alert]) -> None:
    path = _path(target)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".writing")
    listed = [{**asdict(alert), "since": alert.since.isoformat()} for alert in told.values()]
    partial.write_text(json.dumps(listed, indent=1), encoding="utf-8")
    partial.replace(path)
