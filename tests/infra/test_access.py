"""Every role against every relation, before, during and after builds: who reads what, and which rows of it."""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import psycopg2
import pytest

from infra.logins import make_login
from ingestion.destination.target import current_target
from ingestion.environment import variables
from tests.tiny.test_rights import another_day, ask
from tests.tiny.world import TinyWorld
from tests.warehouses import connected, settings
from warehouse import dbt
from warehouse.build.build import Request, publish_held_build
from warehouse.errors import BuildError
from warehouse.people.forgetting import forget
from warehouse.people.retention import retain
from warehouse.publish.access import REPORTER, Declared, declared_access
from warehouse.reading.query import query

pytestmark = pytest.mark.postgres

# Login: role and tenants. One is nobody's.
LOGINS: dict[str, tuple[str, list[str]]] = {
    "t_builder": ("builder", []),
    "t_loader": ("loader", []),
    "t_reporter": ("reporter", []),
    "t_club": ("tenant", ["club"]),
    "t_few": ("tenant", [f"member:{number}" for number in range(1, 8)]),
    "t_rest": ("tenant", [f"member:{number}" for number in range(8, 99)]),
    "t_clinician": ("clinician", []),
    "t_researcher": ("researcher", []),
    "t_privacy": ("privacy", []),
    "t_auditor": ("auditor", []),
    "t_monitor": ("monitor", []),
    "t_operator": ("operator", []),
    "t_nobody": ("", []),
}
RELATIONS = """
    select n.nspname, c.relname from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p', 'v', 'm') and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
    order by 1, 2"""


@dataclass
class Warehouse:
    world: TinyWorld
    admin: dict[str, str]
    declared: dict[tuple[str, str], Declared]

    def now_declared(self) -> dict[tuple[str, str], Declared]:
        with self.world.entered():
            target = current_target()
            return {(each.schema, each.name): each for each in declared_access(dbt.parse(target), target)}

    def relations(self) -> list[tuple[str, str]]:
        with closing(connected(self.admin)) as admin:
            return [(str(schema), str(name)) for schema, name in ask(admin, RELATIONS)]

    def reads(self, login: str, relations: list[tuple[str, str]]) -> set[tuple[str, str]]:
        """Which of the relations this login can in fact read."""
        found: set[tuple[str, str]] = set()
        try:
            connection = connected(self.admin, login)
        except psycopg2.OperationalError as error:
            if "User does not have CONNECT privilege" not in str(error):
                raise
            return found
        with closing(connection):
            for schema, name in relations:
                # Refused; or exchanged or dropped meanwhile.
                with suppress(psycopg2.errors.InsufficientPrivilege, psycopg2.errors.UndefinedTable):
                    ask(connection, f'select 1 from {schema}."{name}" limit 1')
                    found.add((schema, name))
        return found


@pytest.fixture(scope="module")
def warehouse(
    new_migrated_database: Callable[[], dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Warehouse]:
    """A small company's warehouse, built twice by a login that is no superuser."""
    admin = new_migrated_database()
    with settings(admin):
        for login, (role, tenants) in LOGINS.items():
            if role:
                make_login(login, role, tenants, "a password of this test", lambda line: None)
    with closing(connected(admin)) as connection:
        ask(connection, "create role t_nobody login")
    world = TinyWorld(tmp_path_factory.mktemp("access"), {**admin, "PGUSER": "t_builder"})
    world.deliver(world.withheld())
    world.build()
    another_day(world)
    made = Warehouse(world, admin, {})
    made.declared = made.now_declared()
    yield made
    with closing(connected(admin)) as connection:
        ask(connection, f"drop owned by {', '.join(LOGINS)}; drop role {', '.join(LOGINS)}")


def expected(warehouse: Warehouse, login: str, relation: tuple[str, str]) -> bool:
    """Whether a login may read a relation, by the rule alone."""
    role, (schema, _) = LOGINS[login][0], relation
    access = warehouse.declared[relation].access if relation in warehouse.declared else None
    is_raw = schema.startswith("raw_") and schema != "raw_runs"  # what a build says of itself is the build's
    return {
        "builder": schema not in ("access", "audit", "public"),
        "loader": is_raw or schema == "privacy",
        "reporter": schema == "runs" or access in ("shared", "tenant", "internal"),
        "operator": schema == "runs" or access in ("shared", "tenant", "internal"),
        "tenant": access in ("shared", "tenant"),
        "clinician": access in ("shared", "clinical", "research"),
        "researcher": access in ("shared", "research"),
        "privacy": schema == "privacy",
        "auditor": relation in (("access", "tenant_logins"), ("access", "api_keys"), ("audit", "events")),
    }.get(role, False)


def check(warehouse: Warehouse) -> int:
    """Try all. Returns how many pairs of a role and a relation were tried."""
    relations = warehouse.relations()
    for login in LOGINS:
        wanted = {relation for relation in relations if expected(warehouse, login, relation)}
        assert warehouse.reads(login, relations) == wanted, login
    for login in ("t_club", "t_few", "t_rest"):
        assert strangers(warehouse, login) == 0
    return len(relations) * len(LOGINS)


def tenant_key(name: str) -> str:
    """A tenant's key: the md5 of its kind and id, which is a source unless it says otherwise."""
    kind, _, tenant = name.rpartition(":")
    return str(uuid.UUID(hashlib.md5(f"{kind or 'source'}|{tenant}".encode()).hexdigest()))


def strangers(warehouse: Warehouse, login: str) -> int:
    """How many rows of others a tenant sees, over all relations of tenants; its own it sees all."""
    found = 0
    names = LOGINS[login][1]
    with closing(connected(warehouse.admin, login)) as tenant, closing(connected(warehouse.admin)) as admin:
        own_keys = [tenant_key(name) for name in [*names, "granary"]]
        nobody = ["00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000001"]
        keys = ", ".join(f"'{key}'" for key in [*nobody, *own_keys])
        for (schema, name), each in warehouse.declared.items():
            if each.access != "tenant":
                continue
            own = f"from {schema}.{name} where {each.tenant_key} in ({keys})"
            assert ask(tenant, f"select count(*) from {schema}.{name}") == ask(admin, f"select count(*) {own}"), name
            found += ask(tenant, f"select count(*) from {schema}.{name} where {each.tenant_key} not in ({keys})")[0][0]
    return found


def test_who_reads_what_after_every_way_to_publish(warehouse: Warehouse, capsys: pytest.CaptureFixture[str]) -> None:
    world = warehouse.world
    tried = check(warehouse)
    another_day(world)
    tried += check(warehouse)
    assert world.roll_back()
    tried += check(warehouse)
    world.build(Request(full=True))
    tried += check(warehouse)
    world.build(Request(select="+dim_members"))
    tried += check(warehouse)
    world.pass_days()
    world.deliver(world.withheld())
    world.build(Request(hold=True))
    tried += check(warehouse)
    with world.entered():
        publish_held_build(current_target(), lambda line: None)
    tried += check(warehouse)
    with capsys.disabled():
        print(f"\n{len(warehouse.relations())} relations, {len(LOGINS)} logins, {tried:,} pairs tried, 0 leaks")


def test_who_reads_what_during_a_build(warehouse: Warehouse) -> None:
    done, wrong = threading.Event(), []
    looks = 0

    def look() -> None:
        nonlocal looks
        while not done.is_set():
            relations = warehouse.relations()
            for login in ("t_reporter", "t_few", "t_nobody", "t_monitor"):
                extra = {
                    relation for relation in warehouse.reads(login, relations)
                    if not expected(warehouse, login, relation)
                }  # fmt: skip
                wrong.extend((login, *relation) for relation in extra)
            looks += 1

    watching = threading.Thread(target=look)
    watching.start()
    world = warehouse.world
    world.pass_days()
    world.deliver(world.withheld())
    try:
        with world.building() as process:
            assert process.wait(timeout=300) == 0, (world.folder / "build.log").read_text(encoding="utf-8")[-1000:]
    finally:
        done.set()
        watching.join()
    assert wrong == [] and looks >= 3


def test_who_reads_what_is_declared_otherwise(warehouse: Warehouse, tmp_path: Path) -> None:
    """A clinic's tables: patients for clinicians, whose reading is written down, and nobody's figures for research."""
    world, everybodys = warehouse.world, warehouse.world.club.project
    file = world.club.with_own_project(tmp_path / "project") / "models" / "marts" / "tiny" / "_tiny__models.yml"
    text = file.read_text(encoding="utf-8")
    for name, access in {"dim_members": "clinical", "fct_visits": "clinical", "agg_visits__daily": "research"}.items():
        model, told = text.index(f"- name: {name}\n"), "access: tenant"
        at = text.index(told, model)
        text = f"{text[:at]}access: {access}{text[at + len(told) :]}"
    file.write_text(text, encoding="utf-8")
    tenants = warehouse.declared
    try:
        another_day(world)
        warehouse.declared = warehouse.now_declared()
        check(warehouse)
        assert warehouse.reads("t_researcher", sorted(tenants)) >= {("tiny", "agg_visits__daily")}
        assert not warehouse.reads(
            "t_reporter", [(each.schema, each.name) for each in tenants.values() if each.tenant_key]
        )
        with closing(connected(warehouse.admin)) as admin:
            audited = ask(admin, "select table_name from information_schema.role_table_grants "
                          "where grantee = 'granary_audited' and table_schema = 'tiny' order by 1")  # fmt: skip
        assert audited == [("dim_members",), ("fct_visits",)]
    finally:
        world.club.project = everybodys
        another_day(world)
        warehouse.declared = tenants
    check(warehouse)


def test_tenants_see_their_rows_and_no_others(warehouse: Warehouse) -> None:
    visits = "select count(*) from tiny.fct_visits"
    with (
        closing(connected(warehouse.admin, "t_few")) as few,
        closing(connected(warehouse.admin, "t_rest")) as rest,
    ):
        counts = [ask(each, visits)[0][0] for each in (few, rest)]
        assert min(counts) > 0
        with closing(connected(warehouse.admin, "t_reporter")) as reporter:
            [(unknown,)] = ask(reporter, f"{visits} where member_key = '00000000-0000-0000-0000-000000000000'")
            # What is not known is nobody's, and everybody sees it.
            assert ask(reporter, visits) == [(sum(counts) - unknown,)] and unknown > 0
        # An inner join loses nothing.
        for each, count in zip((few, rest), counts, strict=True):
            assert ask(each, f"{visits} as v inner join tiny.dim_members using (member_version_key)") == [(count,)]
        # Who one is is decided when one signs in: no setting changes it, and no role that one has.
        for trick in (
            "set role granary_tenant",
            "set role granary_reporter",
            "set access.tenant = 'member:8'",
            "set session authorization t_rest",
            "set session_replication_role = replica",
        ):
            with suppress(psycopg2.Error):
                ask(few, trick)
            assert ask(few, visits) == [(counts[0],)], trick
            ask(few, "reset all; reset role")
        ask(few, "set row_security = off")  # which asks for an error where rows would be hidden
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            ask(few, visits)
        ask(few, "reset all")
    # The days are the club's, and no member's.
    with closing(connected(warehouse.admin, "t_club")) as club, closing(connected(warehouse.admin, "t_few")) as few:
        days = "select count(*) from tiny.agg_visits__daily"
        assert ask(club, days)[0][0] > 0 and ask(few, days) == [(0,)]


def test_a_tenant_of_many_uses_the_index(warehouse: Warehouse) -> None:
    """Ten thousand tenants, one index on the key: the plan of a tenant's query looks its rows up in it."""
    with closing(connected(warehouse.admin)) as admin:
        ask(admin, """
            create table tiny.many as
                select md5('source|' || n % 10000)::uuid as tenant_key, n as amount
                from generate_series(1, 200000) as n;
            create index on tiny.many (tenant_key);
            alter table tiny.many enable row level security;
            create policy granary_mine on tiny.many for select to granary_tenant
                using (tenant_key = any((select access.my_tenants())::uuid[]));
            grant select on tiny.many to granary_tenant;
            analyze tiny.many""")  # fmt: skip
        try:
            with closing(connected(warehouse.admin, "t_few")) as few:
                plan = "\n".join(row[0] for row in ask(few, "explain select sum(amount) from tiny.many"))
            assert "Index" in plan and "Seq Scan on many" not in plan, plan
        finally:
            ask(admin, "drop table tiny.many")


def test_what_is_not_declared_is_not_published(warehouse: Warehouse) -> None:
    with warehouse.world.entered():
        target = current_target()
        manifest = dbt.parse(target)
        node = next(each for each in manifest.nodes.values() if each.name == "fct_visits")
        copied = node.from_dict(node.to_dict())
        changed = SimpleNamespace(nodes={"fct_visits": copied})
        for meta, message in (
            ({"published": True}, "fct_visits doesn't say who reads it"),
            (
                {"published": True, "access": "tenant", "tenant_key": "owner_key"},
                "'owner_key', which it has no column of",
            ),
        ):
            copied.config.meta = meta
            with pytest.raises(BuildError, match=message):
                declared_access(changed, target)


def test_a_question_is_asked_as_a_reporter(warehouse: Warehouse) -> None:
    lines: list[str] = []
    with settings({**warehouse.admin, "TARGET": "prod"}):
        target = current_target()
        query(target, "select current_user as who", lines.append)
        with pytest.raises(BuildError, match="permission denied for schema raw_club"):
            query(target, "select * from raw_club.members", lines.append)
    assert lines[2:] == [REPORTER]


def test_a_relation_that_somebody_adds_is_closed(warehouse: Warehouse) -> None:
    with closing(connected(warehouse.world.engine)) as builder:
        ask(builder, "set role granary_transformer; create table tiny.by_hand as select 1 as a")
        relation = [("tiny", "by_hand")]
        try:
            for login in LOGINS:
                if login != "t_builder":
                    assert warehouse.reads(login, relation) == set(), login
        finally:
            ask(builder, "drop table tiny.by_hand")


def test_who_reads_makes_no_large_objects(warehouse: Warehouse) -> None:
    for login in ("t_reporter", "t_few", "t_auditor", "t_monitor"):
        with closing(connected(warehouse.admin, login)) as reader:
            for made in ("lo_create(0)", "lo_creat(-1)", "lo_from_bytea(0, 'x')", "lo_put(1, 0, 'x')"):
                with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                    ask(reader, f"select {made}")


def test_events_are_written_once(warehouse: Warehouse) -> None:
    with closing(connected(warehouse.admin, "t_auditor")) as auditor:
        events = ask(auditor, "select event_name, login_name, details from audit.events order by event_number")
    assert {"login", "build", "publish", "rollback"} <= {name for name, _, _ in events}
    asked = [details for name, _, details in events if name == "build"]
    assert len({each["run"] for each in asked}) == len(asked) and "+dim_members" in {each["select"] for each in asked}
    published = [details["generation"] for name, _, details in events if name == "publish"]
    assert published == sorted(set(published))
    assert {login for name, login, _ in events if name == "publish"} == {"t_builder"}
    assert "password" not in str(events)
    for login in ("t_builder", "t_auditor", "t_privacy"):
        with closing(connected(warehouse.admin, login)) as connection:
            for statement in ("delete from audit.events", "update audit.events set event_name = 'x'",
                              "truncate audit.events",
                              "insert into audit.events (event_name, login_name) values ('x', 'other')"):  # fmt: skip
                with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                    ask(connection, statement)
    with closing(connected(warehouse.admin)) as admin, pytest.raises(psycopg2.errors.InsufficientPrivilege):
        ask(admin, "delete from audit.events")


def test_a_person_is_forgotten_in_production(warehouse: Warehouse) -> None:
    """By who may build; the privacy role sees that they are gone, the auditor that somebody went, and not who."""
    stands_for = "select i.token, i.value from raw_club.members as u join privacy.identifiers as i on i.token = u.email"
    with closing(connected(warehouse.admin)) as admin:
        [(token, address)] = ask(admin, f"{stands_for} order by u.id limit 1")
        [(person,)] = ask(admin, f"select distinct id from raw_club.members where email = '{token}'")
    known = f"select value from privacy.identifiers where token = '{token}'"
    with closing(connected(warehouse.admin, "t_privacy")) as privacy:
        assert ask(privacy, known) == [(address,)]
        for login in ("t_builder", "t_reporter"):
            with closing(connected(warehouse.admin, login)) as other, suppress(psycopg2.Error):
                ask(other, "set role granary_transformer")
                with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                    ask(other, known)
        with warehouse.world.entered(), variables({"DBT_EXCLUDE_RESOURCE_TYPES": "test unit_test"}):
            forget(current_target(), [address], False, lambda line: None)
        assert ask(privacy, known) == []
    with closing(connected(warehouse.admin, "t_reporter")) as reporter:
        rows = ask(reporter, f"select distinct email_token from tiny.dim_members where member_id = {person}")
        assert len(rows) == 1 and rows[0][0].startswith("forgotten_")
    with closing(connected(warehouse.admin, "t_auditor")) as auditor:
        events = ask(auditor, "select details from audit.events where event_name = 'forget'")
    assert len(events) == 1 and set(events[0][0]) == {"persons", "identifiers"} and events[0][0]["persons"] == 1
    tried = check(warehouse)
    assert tried > 100


def test_old_versions_are_archived_in_production(warehouse: Warehouse) -> None:
    """What the loader owns is deleted as the loader, the books are kept as the transformer, by a login that is both."""
    count = "select count(*) from raw_club.members"
    with closing(connected(warehouse.admin)) as admin:
        before = ask(admin, count)[0][0]
        later = {"DBT_EXCLUDE_RESOURCE_TYPES": "test unit_test", "GRANARY_OBSERVED_AT": "2099-01-01T00:00:00"}
        with warehouse.world.entered(), variables(later):
            gone = retain(current_target(), False, lambda line: None)
        assert gone > 0
        archived = ask(admin, "select sum(archived_count) from granary.archived where resource_name = 'members'")[0][0]
        assert ask(admin, count) == [(before - (archived or 0),)] and archived
        told = ask(admin, "select details from audit.events where event_name = 'retention'")
        assert told == [({"versions": gone},)]
    check(warehouse)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("anna", "boss", []), "there is no role boss: say ROLE=loader, "),
        (("Anna; drop", "reporter", []), "can't be a login"),
        (("anna", "tenant", []), "needs TENANTS="),
        (("anna", "reporter", ["shop"]), "needs TENANTS="),
    ],
)
def test_a_login_that_can_not_be(arguments: tuple[str, str, list[str]], message: str) -> None:
    with pytest.raises(BuildError, match=message):
        make_login(*arguments, "", lambda line: None)
