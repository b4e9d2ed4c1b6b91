"""Subscriptions: who gets which report, when and in which form, a YAML file for each.

They stand in `reports/subscriptions/`, those of a domain in `reports/<domain>/subscriptions/`; the SQL of saved queries
beside them in `queries/`. What is wrong with one is said with its file and line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from croniter import croniter

from ingestion.domains import domains
from ingestion.environment import ConfigurationError
from reports.delivery.periods import GRAINS, SCHEDULES

FORMATS = ("html", "xlsx", "pdf")
KINDS = ("metric", "query", "page")
CHARTS = ("line", "bar", "across", "none")
REQUIRED = ("title", "schedule", "contact", "recipients")
KEYS = (*REQUIRED, *KINDS, "period", "format", "chart", "hold", "enabled", "as_of")
OF_RECIPIENTS = ("login", "tenants", "to")
# The day that the data reach to, where a subscription names no other column.
AS_OF = "core.dim_time_spine.date_day"
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_COLUMN = re.compile(r"[a-z]\w*\.[a-z]\w*\.[a-z]\w*")
_TENANT = re.compile(r"[\w:.-]+")


@dataclass(frozen=True)
class Group:
    """Who gets a report with the rows of one login.

    login: on Postgres, whom the report is read as.
    tenants: whose rows that login sees; where empty, it is a reporter's and sees all. On DuckDB, whose extract is read.
    """

    login: str
    tenants: tuple[str, ...]
    to: tuple[str, ...]

    @property
    def name(self) -> str:
        """What tells it from the others of a subscription."""
        return self.login or "_".join(self.tenants).replace(":", "-") or "reporter"


@dataclass(frozen=True)
class Subscription:
    """One file. `asked` is the metric's question, or the name of the query or of the page's exposure.

    domain: whose it is; empty for one of all. query: the SQL of a saved query. schedule: a cron line, or empty where
    the period alone says when.
    """

    name: str
    domain: str
    file: Path
    title: str
    kind: str
    asked: str
    query: str
    description: str
    period: str
    schedule: str
    format: str
    chart: str
    contact: str
    hold: bool
    enabled: bool
    as_of: str
    groups: tuple[Group, ...]


def read_subscriptions(project: Path) -> dict[str, Subscription]:
    """All of a project, of no domain or of one that is on, by name.

    Raises:
        ConfigurationError: a file is wrong; every fault of every file is a line `file:line: what, and what to do`.
    """
    found: dict[str, Subscription] = {}
    faults: list[str] = []
    reports = project / "reports"
    for domain in ("", *(each.name for each in domains(project))):
        for file in sorted((reports / domain / "subscriptions").glob("*.y*ml")):
            read = _Reading(file, domain, project)
            subscription = read.subscription()
            faults += read.faults
            if subscription and subscription.name in found:
                faults.append(f"{read.path}:1: there is another {file.stem}, in {found[file.stem].file}: rename one")
            elif subscription:
                found[file.stem] = subscription
    if faults:
        raise ConfigurationError("\n".join(faults))
    return found


def enabled(project: Path) -> list[Subscription]:
    """Those that the clock sends. Raises ConfigurationError as above."""
    return [each for each in read_subscriptions(project).values() if each.enabled]


class _Reading:
    """A file that is being read, and what is wrong with it."""

    def __init__(self, file: Path, domain: str, project: Path):
        self.file, self.domain, self.project = file, domain, project
        self.path = file.relative_to(project)
        self.faults: list[str] = []
        self.lines: dict[str, int] = {}
        self.values: dict[str, Any] = {}

    def fault(self, key: str, what: str) -> None:
        self.faults.append(f"{self.path}:{self.lines.get(key, 1)}: {what}")

    def subscription(self) -> Subscription | None:
        """What the file says; None where it is wrong."""
        if not self._read():
            return None
        kind = self._kind()
        period, schedule = self._when()
        asked = self._text(kind, "what is asked") if kind else ""
        if kind == "page" and period not in ("", "month"):
            self.fault("period", "a page shows months: say `schedule: monthly`, or `period: month` with a cron line")
        query, description = self._query(asked) if kind == "query" else ("", "")
        made = Subscription(
            self.file.stem, self.domain, self.path, self._text("title", "what readers see first, in a few words"), kind,
            asked, query, description, period, schedule, self._choice("format", FORMATS),
            self._choice("chart", ("", *CHARTS)), self._address("contact", self.values.get("contact")),
            self._flag("hold"), self._flag("enabled"), self._as_of(), tuple(self._groups()),
        )  # fmt: skip
        return None if self.faults else made

    def _read(self) -> bool:
        text = self.file.read_text(encoding="utf-8")
        try:
            node = yaml.compose(text, Loader=yaml.SafeLoader)
            values = yaml.safe_load(text)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            self.lines["yaml"] = mark.line + 1 if mark else 1
            self.fault("yaml", f"this is no YAML: {getattr(error, 'problem', error)}")
            return False
        if not isinstance(values, dict):
            self.fault("", f"this is no list of settings: begin with {', '.join(REQUIRED)}")
            return False
        self.lines = dict(_lines(node))
        self.values = values
        if not _NAME.fullmatch(self.file.stem) or self.file.suffix != ".yml":
            self.fault("", "the file's name is the report's: lower-case letters, digits and _, and .yml")
        for key in values:
            if key not in KEYS:
                self.fault(str(key), f"there is no setting {key!r}: choose from {', '.join(KEYS)}")
        for key in REQUIRED:
            if key not in values:
                self.fault("", f"{key} is missing: see docs/reports.md")
        return True

    def _text(self, key: str, meaning: str) -> str:
        value = self.values.get(key, "")
        if key in self.values and (not isinstance(value, str) or not value.strip() or "\n" in value.strip()):
            self.fault(key, f"{key} is {meaning}, on one line")
        return str(value).strip()

    def _kind(self) -> str:
        given = [kind for kind in KINDS if kind in self.values]
        if len(given) != 1:
            self.fault(given[-1] if given else "", f"say what is sent by one of {', '.join(KINDS)}, and by no second")
            return ""
        return given[0]

    def _when(self) -> tuple[str, str]:
        schedule, period = str(self.values.get("schedule", "")), self.values.get("period")
        if schedule in SCHEDULES:
            if period is not None:
                self.fault(
                    "period", f"{schedule} reports the {SCHEDULES[schedule]}: leave period out, or give a cron line"
                )
            return SCHEDULES[schedule], ""
        if "schedule" in self.values and not (len(schedule.split()) == 5 and croniter.is_valid(schedule)):
            self.fault("schedule", f"schedule is {', '.join(SCHEDULES)} or a cron line such as '0 7 * * 1'")
        elif "schedule" in self.values and period not in GRAINS:
            self.fault("period" if period else "schedule", f"with a cron line, period is one of {', '.join(GRAINS)}")
        return str(period or ""), schedule

    def _choice(self, key: str, choices: tuple[str, ...]) -> str:
        value = self.values.get(key, choices[0])
        if value not in choices:
            self.fault(key, f"{key} is {value!r}: choose from {', '.join(filter(None, choices))}")
        return str(value)

    def _flag(self, key: str) -> bool:
        value = self.values.get(key, True)
        if not isinstance(value, bool):
            self.fault(key, f"{key} is true or false")
        return bool(value)

    def _as_of(self) -> str:
        value = str(self.values.get("as_of", AS_OF))
        if not _COLUMN.fullmatch(value):
            self.fault("as_of", f"as_of is a published date, <schema>.<table>.<column>, as {AS_OF}")
        return value

    def _address(self, key: str, value: Any) -> str:
        if (value is not None or key != "contact") and not (isinstance(value, str) and _ADDRESS.fullmatch(value)):
            self.fault(key, f"{value!r} is no mail address, as team@example.com")
        return str(value)

    def _query(self, name: str) -> tuple[str, str]:
        places = [self.file.parent.parent / "queries", self.project / "reports" / "queries"]
        file = next((place / f"{name}.sql" for place in places if (place / f"{name}.sql").is_file()), None)
        if file is None:
            self.fault(
                "query", f"there is no query {name!r}: write {places[0].relative_to(self.project) / f'{name}.sql'}"
            )
            return "", ""
        text = file.read_text(encoding="utf-8")
        said = re.match(r"--[ \t]*(\S[^\n]*(?:\n--[^\n]*)*)", text)
        if not said:
            self.fault("query", f"{file.relative_to(self.project)} begins with no `-- ` line that says what it answers")
        return text, " ".join(re.split(r"\s*\n--\s*", said[1])) if said else ""

    def _groups(self) -> Iterator[Group]:
        listed = self.values.get("recipients", [])
        if "recipients" in self.values and (not isinstance(listed, list) or not listed):
            self.fault("recipients", "recipients is a list: for each login, `to:` the addresses that get what it sees")
            return
        seen = set()
        for number, each in enumerate(listed):
            key = f"recipients.{number}"
            if not isinstance(each, dict) or not each.get("to") or set(each) - set(OF_RECIPIENTS):
                self.fault(key, f"recipients have {', '.join(OF_RECIPIENTS)}: the last of them has an address or more")
                continue
            login, tenants, to = str(each.get("login", "")), each.get("tenants", []), each["to"]
            if login and not _NAME.fullmatch(login):
                self.fault(f"{key}.login", f"{login!r} is no login, as `make login` makes it")
            if not isinstance(tenants, list) or not all(isinstance(t, str) and _TENANT.fullmatch(t) for t in tenants):
                self.fault(f"{key}.tenants", "tenants is a list of sources, or of `kind:id` for another kind of tenant")
                continue
            if not isinstance(to, list):
                self.fault(f"{key}.to", "to is a list of mail addresses")
                continue
            addresses = [self._address(f"{key}.to.{place}", address) for place, address in enumerate(to)]
            group = Group(login, tuple(tenants), tuple(addresses))
            for address in {address for address in addresses if addresses.count(address) > 1}:
                self.fault(f"{key}.to", f"{address} is there twice: a report goes to nobody twice")
            if group.name in seen:
                self.fault(key, f"{group.name} is there twice: put the addresses together")
            seen.add(group.name)
            yield group


def _lines(node: Any, above: str = "") -> Iterator[tuple[str, int]]:
    """The line of each key and of each entry of a list, by the keys that lead there with dots between."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            name = f"{above}.{key.value}".lstrip(".")
            yield name, key.start_mark.line + 1
            yield from _lines(value, name)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            name = f"{above}.{number}"
            yield name, value.start_mark.line + 1
            yield from _lines(value, name)
