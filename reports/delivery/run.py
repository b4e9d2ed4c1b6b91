"""A run of reports: sent and recorded, or written to files to be looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from ingestion.destination.target import Target
from ingestion.environment import ConfigurationError
from reports.delivery.bounces import collect_bounces
from reports.delivery.ledger import REPORT, delivery_of, open_ledger, recipient_of
from reports.delivery.message import message, report
from reports.delivery.periods import last_tick
from reports.delivery.recipient import generation_of, open_as_recipient
from reports.delivery.sending import (
    Sender,
    business_day,
    business_zone,
    data_until,
    problems_now,
    reported,
    require_server,
)
from reports.delivery.subscriptions import Subscription, read_subscriptions
from warehouse.errors import BuildError
from warehouse.reading.query import open_published
from warehouse.runs.runs import Run, record_beside

Say = Callable[[str], None]
AGAIN_MINUTES = 15  # between two tries of what a server did not take


def deliver(
    target: Target,
    subscriptions: Sequence[Subscription],
    now: datetime,
    say: Say,
    *,
    by_hand: bool = False,
    again: str = "",
) -> Counter[str]:
    """Send what is due, and record what became of it. Returns how many deliveries ended how.

    Args:
        target: the warehouse.
        subscriptions: of which something may be due.
        now: the time, with its zone.
        say: takes a line for each delivery.
        by_hand: whether somebody asked for these, so that no schedule is waited for.
        again: `missing` sends once more what did not surely arrive, `all` to everybody.

    Raises:
        ConfigurationError: a setting is wrong, or another process sends; nothing was sent then.
        BuildError: the warehouse can't be asked.
    """
    if target.name == "sandbox":
        raise ConfigurationError("a sandbox is one developer's, and sends no reports: DRY=1 shows what they would be")
    require_server()
    run, ended = Run("report", target.name), Counter[str]()
    with open_ledger(target) as ledger:
        try:
            for entry in ledger.end_broken_off():
                ended["unknown"] += 1
                say(f"{entry['subscription']} for {entry['login']}: recipient {entry['number']}: {entry['detail']}")
            ledger.withdraw(
                {
                    (each.name, group.name, recipient_of(address))
                    for each in read_subscriptions(target.project).values()
                    for group in each.groups
                    for address in group.to
                }
            )
            ended["bounced"] += collect_bounces(ledger, say)
            sender = Sender(target, ledger, problems_now(target, now), now, say, by_hand, again)
            ended += sender.send(subscriptions)
            run.outcome = "delivered"
        except BaseException as error:
            run.outcome, run.message = "failed", (str(error).splitlines() or [repr(error)])[0][:600]
            raise
        finally:
            # Of each delivery, what came of it in the end.
            run.deliveries = [_recorded(entry) for entry in {entry["id"]: entry for entry in ledger.new}.values()]
            if run.deliveries or run.outcome == "failed":
                record_beside(target, run, say)
    return +ended


def occasion(target: Target, subscriptions: Sequence[Subscription], now: datetime) -> str:
    """A text that is another one whenever something may have become due: for who looks often and sends seldom.

    Raises:
        BuildError: the warehouse can't be asked.
    """
    local, found = now.astimezone(business_zone(target)), problems_now(target, now)
    with open_published(target) as connection:
        parts = [f"generation {generation_of(connection, target)}", f"{local:%Y-%m-%d}"]
    parts += [
        f"{each.name} {last_tick(each.schedule, local):%Y-%m-%d %H:%M}" for each in subscriptions if each.schedule
    ]
    parts += [*found.of_build, *found.of_sources]
    with open_ledger(target) as ledger:
        if ledger.has_open():
            parts.append(f"again {local:%H} {local.minute // AGAIN_MINUTES}")
    return "; ".join(parts)


def _recorded(entry: dict[str, object]) -> dict[str, object]:
    """An entry of the ledger as the runs have it: nothing of the recipient's address, not even its hash."""
    return {
        "delivery_id": entry["id"], "subscription_name": entry["subscription"], "login_name": entry["login"],
        "recipient_number": entry["number"], "message_kind": entry["kind"], "period_grain": entry["grain"] or None,
        "period_first_date": entry["first"] or None, "period_last_date": entry["last"] or None,
        "reported_generation_number": entry["generation"], "status": entry["status"],
        "status_detail": entry["detail"] or None, "byte_count": entry["size"], "recorded_at": entry["at"],
    }  # fmt: skip


def preview(
    target: Target, subscriptions: Sequence[Subscription], folder: Path, now: datetime, say: Say
) -> int:  # fmt: skip
    """Write each report as a mail into a file (`.eml`), with its page and its attachment beside, and send nothing.

    Returns the exit status. Problems that would hold it back are said.
    """
    from reports.delivery.content import Words, content_of  # which take their time to import

    status, words, problems = 0, Words(target), problems_now(target, now)
    folder.mkdir(parents=True, exist_ok=True)
    for subscription in subscriptions:
        for group in subscription.groups:
            found = problems.of(subscription, group, target)
            if found:
                held = "would be held back" if subscription.hold else "would be sent with a warning"
                say(f"{subscription.name} for {group.name} {held}: {'; '.join(found)}")
            try:
                with open_as_recipient(target, group) as connection:
                    generation = generation_of(connection, target)
                    as_of = data_until(connection, target, subscription)
                    period = reported(subscription, as_of, business_day(target, now))
                    content = content_of(subscription, period, words, connection)
            except BuildError as error:
                status = 1
                say(f"{subscription.name} for {group.name}: FAILED: {error}")
                continue
            made = report(subscription, group, period, generation, str(as_of), content, found, False)
            delivery = delivery_of(subscription, group.name, 1, group.to[0], period, generation, REPORT)
            mail = message(made, "granary@example.com", group.to[0], delivery.id, "", now)
            path = folder / f"{subscription.name}.{group.name}.eml"
            path.write_bytes(mail.as_bytes())
            if made.attachment:
                beside = folder / f"{subscription.name}.{group.name}.{subscription.format}"
                beside.write_bytes(made.attachment[2])
            say(f"{subscription.name} for {group.name}: {period.label}, in {path}")
    return status
