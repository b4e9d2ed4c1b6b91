"""Subscriptions are read whole, or refused with every fault's file, line and mend; those of this project are right."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingestion.domains import listed
from ingestion.environment import ConfigurationError, variables
from ingestion.project import PROJECT_ROOT
from reports.delivery.subscriptions import read_subscriptions

GOOD = """title: Visits
query: visits
schedule: daily
contact: desk@example.com
recipients:
  - login: everybody
    to: [anna@example.com]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of one domain that has one query."""
    (tmp_path / "dbt_project.yml").write_text("vars: {domains: {plants: {}, rocks: {published: false}}}", "utf-8")
    for domain in ("plants", "rocks"):
        for folder in ("subscriptions", "queries"):
            (tmp_path / "reports" / domain / folder).mkdir(parents=True)
        (tmp_path / "reports" / domain / "queries" / "visits.sql").write_text("-- All\n-- visits.\nselect 1", "utf-8")
    return tmp_path


def write(project: Path, text: str, name: str = "visits.yml", domain: str = "plants") -> None:
    (project / "reports" / domain / "subscriptions" / name).write_text(text, encoding="utf-8")


def faults(project: Path) -> list[str]:
    with pytest.raises(ConfigurationError) as error:
        read_subscriptions(project)
    return str(error.value).splitlines()


def test_every_committed_file_is_right() -> None:
    files = {each.stem for each in PROJECT_ROOT.glob("reports/**/subscriptions/*")} - {".gitkeep"}
    with variables({"DOMAINS": ",".join(each.name for each in listed())}):
        assert set(read_subscriptions(PROJECT_ROOT)) == files != set()


def test_what_a_file_says(project: Path) -> None:
    write(project, GOOD)
    write(project, "nonsense", domain="rocks")  # which is off
    ((name, found),) = read_subscriptions(project).items()
    assert (name, found.domain, found.description) == ("visits", "plants", "All visits.")
    assert (found.period, found.schedule, found.format, found.hold) == ("day", "", "html", True)
    assert [(group.login, group.tenants, group.to) for group in found.groups] == [
        ("everybody", (), ("anna@example.com",))
    ]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("title: Visits", "title: [a", "2: this is no YAML: expected ',' or ']', but got ':'"),
        ("title: Visits", "titel: Visits", "1: title is missing: see docs/reports.md"),
        ("title: Visits", "title: ''", "1: title is what readers see first, in a few words"),
        ("query: visits", "query: vists", "2: there is no query 'vists': write reports/plants/queries/vists.sql"),
        ("query: visits", "metric: a\nquery: visits", "3: say what is sent by one of metric, query, page, and by"),
        ("query: visits", "metrics: a", "2: there is no setting 'metrics': choose from title, schedule, contact, "),
        ("daily", "hourly", "3: schedule is daily, weekly, monthly or a cron line such as '0 7 * * 1'"),
        ("daily", "61 7 * * 1", "3: schedule is daily, weekly, monthly or a cron line such as '0 7 * * 1'"),
        ("daily", "0 7 * * 1", "3: with a cron line, period is one of day, week, month, quarter, year"),
        ("daily", "daily\nperiod: day", "4: daily reports the day: leave period out, or give a cron line"),
        ("desk@example.com", "desk", "4: 'desk' is no mail address, as team@example.com"),
        ("desk@example.com", "desk@example.com\nformat: docx", "5: format is 'docx': choose from html, xlsx, pdf"),
        ("desk@example.com", "desk@example.com\nhold: maybe", "5: hold is true or false"),
        ("desk@example.com", "desk@example.com\nas_of: visits", "5: as_of is a published date, <schema>.<table>"),
        ("[anna@example.com]", "[anna@example.com, a@b]", "7: 'a@b' is no mail address, as team@example.com"),
        ("[anna@example.com]", "['a@example.com, b@example.com']", "7: 'a@example.com, b@example.com' is no mail"),
        ("[anna@example.com]", "[a@example.com, a@example.com]", "7: a@example.com is there twice"),
        ("login: everybody", "logon: everybody", "6: recipients have login, tenants, to: the last of them has an addr"),
        ("login: everybody", "login: Every Body", "6: 'Every Body' is no login, as `make login` makes it"),
        ("  - login: everybody\n    to: [anna@example.com]\n", "  []\n", "5: recipients is a list: for each login"),
    ],
)  # fmt: skip
def test_a_fault_is_said_with_its_line(project: Path, old: str, new: str, fault: str) -> None:
    assert old in GOOD
    write(project, GOOD.replace(old, new, 1))
    assert any(each.startswith(f"reports/plants/subscriptions/visits.yml:{fault}") for each in faults(project)), faults(
        project
    )


def test_every_fault_of_every_file_is_said(project: Path) -> None:
    write(project, GOOD.replace("daily", "never").replace("anna@", "anna"))
    write(project, GOOD, "Visits-2.yml")
    write(project, GOOD.replace("query: visits", "page: business").replace("daily", "weekly"), "page.yml")
    assert [each.split(":")[0].rsplit("/", 1)[1] for each in faults(project)] == [
        "Visits-2.yml", "page.yml", "visits.yml", "visits.yml",
    ]  # fmt: skip


def test_a_query_says_what_it_answers(project: Path) -> None:
    write(project, GOOD)
    (project / "reports" / "plants" / "queries" / "visits.sql").write_text("select 1", encoding="utf-8")
    (fault,) = faults(project)
    assert fault.endswith("visits.sql begins with no `-- ` line that says what it answers")
