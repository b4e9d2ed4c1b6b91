"""What is due is asked as its recipients, written, handed over, and written down: each once, or held back."""

from __future__ import annotations

import smtplib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from ingestion.destination.target import Target
from ingestion.domains import domains, variables
from ingestion.environment import ConfigurationError
from orchestration.alerts.conditions import contracts_of, failed_run, late_sources, rows_of
from orchestration.mail import MAIL_ERRORS, UncertainError, hand_over, mail_server, mail_setting, sender_of
from reports.delivery.ledger import ALL, FINAL, NOTE, REPORT, Delivery, Ledger, delivery_of
from reports.delivery.message import Report, message, note, report
from reports.delivery.periods import Period, last_closed, last_tick
from reports.delivery.recipient import generation_of, is_closed_file, open_as_recipient
from reports.delivery.subscriptions import Group, Subscription
from warehouse.errors import BuildError
from warehouse.reading.query import ask, open_published

if TYPE_CHECKING:
    from reports.delivery.content import Content, Words

Say = Callable[[str], None]
SERVER = "REPORTS__SMTP_URL or ALERTS__SMTP_URL"


@dataclass(frozen=True)
class Problems:
    """What holds reports back: the last build failed, or a source is late; in words for who gets them."""

    of_build: list[str]
    of_sources: dict[str, str]

    def of(self, subscription: Subscription, group: Group, target: Target) -> list[str]:
        """What concerns a group: of a domain's report, the sources that it reads; of another, all.

        A tenant that is a source hears of its own alone; one of another kind, that a source is late, and not which.
        """
        if any(":" in tenant for tenant in group.tenants):
            return self.of_build + ["a source has brought nothing new for too long"] * bool(self.of_sources)
        read = set(group.tenants) or {
            source
            for domain in domains(target.project)
            if subscription.domain in ("", domain.name)
            for source in domain.sources
        }
        return self.of_build + [said for source, said in self.of_sources.items() if source in read]


def problems_now(target: Target, now: datetime) -> Problems:
    """What is wrong at a moment with the builds and sources of a warehouse."""
    with open_published(target) as connection:
        rows = rows_of(target, connection)
        build = [f"the last build did not succeed, {each.since:%Y-%m-%d %H:%M} UTC" for each in failed_run(rows)]
        late = {
            each.key.removeprefix("late source "): f"{each.what.partition(';')[0]}"
            for each in late_sources(rows, contracts_of(target), now.astimezone(UTC).replace(tzinfo=None))
        }
    return Problems(build, late)


@dataclass
class Sender:
    """One go of sending.

    by_hand: whether somebody asked for these: what was reported before is reported again from a new generation.
    again: whether what is over is sent once more: MISSING, where it did not surely arrive; ALL, to everybody.
    """

    target: Target
    ledger: Ledger
    problems: Problems
    now: datetime
    say: Say
    by_hand: bool = False
    again: str = ""
    ended: Counter[str] = field(default_factory=Counter)
    _words: Words | None = None

    def send(self, subscriptions: Iterable[Subscription]) -> Counter[str]:
        """Send what is due of these. Returns how many deliveries ended how."""
        for subscription in subscriptions:
            for group in subscription.groups:
                if not (self.by_hand or self._is_due(subscription, group)):
                    continue
                try:
                    self._serve(subscription, group)
                except BuildError as error:
                    self.say(f"{subscription.name} for {group.name}: FAILED: {error}")
                    for number, address in enumerate(group.to, start=1):
                        self._failed(
                            delivery_of(subscription, group.name, number, address, None, 0, REPORT), str(error)
                        )
        return self.ended

    def _failed(self, delivery: Delivery, detail: str) -> None:
        """Nothing could be asked for a recipient: written down once, for as long as it is the same."""
        self.ended["failed"] += 1
        last = self.ledger.of_recipient(delivery)
        if last is None or (last["id"], last["detail"]) != (delivery.id, detail):
            self.ledger.add(delivery, "failed", detail)

    def _is_due(self, subscription: Subscription, group: Group) -> bool:
        """Whether a cron line came round since the last report; without one, each new period is due at once."""
        if not subscription.schedule:
            return True
        last = self.ledger.last_sent(subscription.name, group.name)
        tick = last_tick(subscription.schedule, self.now.astimezone(business_zone(self.target)))
        return last is None or tick > last or self.ledger.is_open(subscription.name, group.name, tick)

    def _serve(self, subscription: Subscription, group: Group) -> None:
        """Send one group what it is to get: the report, a note that it is held back, or nothing."""
        today = business_day(self.target, self.now)
        with open_as_recipient(self.target, group) as connection:
            while True:
                generation = generation_of(connection, self.target)
                as_of = data_until(connection, self.target, subscription)
                period = reported(subscription, as_of, today)
                wanted = self._wanted(subscription, group, period, generation, REPORT)
                problems = self.problems.of(subscription, group, self.target)
                content = None
                if wanted and not (problems and subscription.hold):
                    content = self._content(subscription, period, connection)
                # A publish that came in between would leave one half of a report with the generation before.
                if is_closed_file(connection) or generation_of(connection, self.target) == generation:
                    break
        if content is not None:
            self._send_report(subscription, group, period, generation, as_of, content, problems, wanted)
            return
        expected = period if wanted else last_closed(today - timedelta(days=1), subscription.period)
        if problems and subscription.hold and (wanted or expected.last > period.last):
            reasons = "; ".join(problems)
            self.say(f"{subscription.name} for {group.name}: {expected.label} is held back: {reasons}")
            if notes := self._wanted(subscription, group, expected, 0, NOTE):
                self._deliver(note(subscription, expected, problems), notes)
        elif self.by_hand:
            self._say_done(subscription, group, period, generation)

    def _say_done(self, subscription: Subscription, group: Group, period: Period, generation: int) -> None:
        ended = [
            self.ledger.status(delivery_of(subscription, group.name, number, address, period, generation, REPORT))
            for number, address in enumerate(group.to, start=1)
        ]
        hint = "; AGAIN=1 tries what is missing again" if set(ended) != {"sent"} else ""
        self.say(
            f"{subscription.name} for {group.name}: {period.label} went out from generation {generation} before: "
            f"{', '.join(ended)}{hint}"
        )

    def _content(self, subscription: Subscription, period: Period, connection: Any) -> Content:
        # MetricFlow and what draws take their time to import, and most runs have nothing to send.
        from reports.delivery.content import Words, content_of

        self._words = self._words or Words(self.target)
        return content_of(subscription, period, self._words, connection)

    def _send_report(
        self, subscription: Subscription, group: Group, period: Period, generation: int, as_of: date, content: Content,
        problems: list[str], wanted: Sequence[tuple[Delivery, str]],
    ) -> None:  # fmt: skip
        corrections = [each for each in wanted if self._replaced(each[0])]
        for some in (corrections, [each for each in wanted if each not in corrections]):
            if some:
                made = report(
                    subscription, group, period, generation, str(as_of), content, problems, some is corrections
                )  # fmt: skip
                self._deliver(made, some)

    def _wanted(
        self, subscription: Subscription, group: Group, period: Period, generation: int, kind: str
    ) -> list[tuple[Delivery, str]]:
        """The deliveries of a period that are still to be made, with the addresses."""
        found = []
        for number, address in enumerate(group.to, start=1):
            delivery = delivery_of(subscription, group.name, number, address, period, generation, kind)
            is_over = self.ledger.status(delivery) in FINAL
            # The clock reports a period once; a person may ask for it again when the data changed.
            was_reported = self.ledger.of_period(delivery) is not None and not (self.by_hand and kind == REPORT)
            is_wanted = not (is_over or was_reported)
            if kind == REPORT and self.again:
                is_wanted = self.again == ALL or self.ledger.status(delivery) != "sent"
            if is_wanted:
                found.append((delivery, address))
        return found

    def _replaced(self, delivery: Delivery) -> str:
        """The delivery that this one puts right; of another generation."""
        before = self.ledger.of_period(delivery)
        return str(before["id"]) if before and before["id"] != delivery.id and before["status"] == "sent" else ""

    def _deliver(self, made: Report, deliveries: Sequence[tuple[Delivery, str]]) -> None:
        """Hand a report to the server for each recipient, and write down what became of it."""
        url = mail_setting("reports", "smtp_url")
        sender = sender_of("reports", url)
        with ExitStack() as stack:
            server: smtplib.SMTP | None = None
            for delivery, address in deliveries:
                mail = message(made, sender, address, delivery.id, self._replaced(delivery), self.now)
                data = mail.as_bytes()
                self.ledger.add(delivery, "intended", size=len(data))
                try:
                    server = server or stack.enter_context(mail_server(url, SERVER))
                    hand_over(server, sender, address, data, partial(self.ledger.add, delivery, "sending"))
                    self._note(delivery, address, "sent", "", len(data))
                except smtplib.SMTPResponseException as error:
                    status = "refused" if 500 <= error.smtp_code < 600 else "failed"
                    self._note(delivery, address, status, f"{error.smtp_code} {_text(error.smtp_error)}", len(data))
                except UncertainError as error:
                    server = None
                    self._note(
                        delivery, address, "unknown", f"the server had it, and did not answer: {error}", len(data)
                    )
                except MAIL_ERRORS as error:
                    server = None
                    self._note(delivery, address, "failed", str(error) or type(error).__name__, len(data))

    def _note(self, delivery: Delivery, address: str, status: str, detail: str, size: int) -> None:
        """Write down and say what became of a delivery, without the address: the record has none."""
        plain = " ".join(detail.replace(address, "…").split())[:300]
        self.ledger.add(delivery, status, plain, size)
        self.ended["held back" if delivery.kind == NOTE and status == "sent" else status] += 1
        what = "report" if delivery.kind == REPORT else "note"
        days = f"{delivery.first} to {delivery.last}" if delivery.first != delivery.last else delivery.first
        self.say(
            f"{delivery.subscription} for {delivery.login}: {what} of {days} to recipient {delivery.number}: {status}"
            + (f" ({plain})" if plain else f", {size:,} bytes")
        )


def business_zone(target: Target) -> ZoneInfo:
    """The time zone of business days."""
    return ZoneInfo(str(variables(target.project)["business_timezone"]))


def business_day(target: Target, now: datetime) -> date:
    """The business day that a moment, given with its zone, lies in."""
    return now.astimezone(business_zone(target)).date()


def data_until(connection: Any, target: Target, subscription: Subscription) -> date:
    """The last day that the data reach to, as the recipients see them.

    Raises:
        BuildError: there is none: the table has no row, or not for them.
    """
    schema, table, column = subscription.as_of.split(".")
    ((found,),) = ask(connection, f"select max({column}) from {target.schema(schema)}.{table}")[1]
    if found is None:
        raise BuildError(f"{subscription.as_of} has no day yet: is there data, and are these rows their login's?")
    return found.date() if isinstance(found, datetime) else found


def reported(subscription: Subscription, as_of: date, today: date) -> Period:
    """The last period that the data have whole and that is over: a day that still goes on is none."""
    return last_closed(min(as_of, today - timedelta(days=1)), subscription.period)


def require_server() -> None:
    """Raise ConfigurationError where no mail server is set."""
    if not mail_setting("reports", "smtp_url"):
        raise ConfigurationError(
            f"no mail server is set: set {SERVER} to smtp://user:password@host:port or smtps://…; "
            "DRY=1 writes the mail to a file"
        )


def _text(said: bytes | str) -> str:
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else said
