"""The ledger: which loads and which code each relation of each generation has seen.

`macros/history/ledger.sql` says how dbt reads and writes it; here its tables are made, and filled before dbt
starts with what this build is about.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ingestion import domains
from ingestion.contract.reading import source_names
from warehouse.database import Database

SEEN_TABLES = {
    "seen_loads": "relation_name varchar not null, load_id varchar not null",
    "seen_code": "relation_name varchar not null, fingerprint varchar not null",
}
PENDING_COLUMNS = "relation_name varchar not null, followed_key varchar"
COMPILED_COLUMNS = "test_id varchar not null, project varchar not null, statement text not null"
TESTED_COLUMNS = "test_id varchar not null, fingerprint varchar not null"
GENERATION_COLUMNS = "generation_number bigint not null, published_at timestamp not null"
GENERATION_LOAD_COLUMNS = "load_id varchar not null, source_name varchar not null"

# A variable that SQL or a macro reads.
_VARIABLE = re.compile(r"\bvar\(\s*['\"](\w+)['\"]")
# And one of the environment.
ENVIRONMENT = re.compile(r"\benv_var\(\s*['\"](\w+)['\"]")


def begin(database: Database, manifest: Any) -> dict[str, str]:
    """Write down what the build that starts now is about: the loads that it sees, the code that it has.

    Returns:
        The fingerprint of each relation's code.
    """
    ensure_tables(database)
    database.run(f"delete from {database.granary('parsed')}")
    register_loads(database)
    code = fingerprints(manifest, database.target.project)
    write_code(database, code)
    return code


def note_parsed(database: Database, project: str, models: dict[str, tuple[str, str]]) -> None:
    """`granary.code` now holds the code of this project, as a fingerprint, which publishes these models."""
    database.run(f"delete from {database.granary('parsed')}")
    row = [_with_outdated(database, project), json.dumps(models)]
    database.run(f"insert into {database.granary('parsed')} (project, models) values (%s, %s)", row)


def models_parsed(database: Database, project: str) -> dict[str, tuple[str, str]] | None:
    """The models that this project publishes, where `granary.code` holds its code; None where it doesn't."""
    if not database.exists(database.granary("parsed")):
        return None
    row = [_with_outdated(database, project)]
    rows = database.run(f"select models from {database.granary('parsed')} where project = %s", row)
    return {name: (schema, line) for name, (schema, line) in json.loads(rows[0][0]).items()} if rows else None


def _with_outdated(database: Database, fingerprint: str) -> str:
    """A fingerprint that differs once what relations were built from was changed beside their code."""
    times = int(database.run(f"select count(*) from {database.granary('outdated')}")[0][0])
    return f"{fingerprint} {times}" if times else fingerprint


def ensure_tables(database: Database) -> None:
    """Make the ledger's tables, in the build's own schema and in the generation that is being built."""
    database.run(f"create schema if not exists {database.target.schema('granary')}")
    database.run(
        f"create table if not exists {database.granary('loads')} (load_id varchar primary key, source_name varchar)"
    )
    database.run(f"create table if not exists {database.granary('code')} (relation_name varchar, fingerprint varchar)")
    database.run(f"create schema if not exists {database.next_schema('ops')}")
    if database.target.engine == "postgres":
        database.run(f"create schema if not exists {database.target.schema('partitions')}")
    for name, columns in SEEN_TABLES.items():
        database.run(f"create table if not exists {database.granary(name)} ({columns})")
        database.run(f"create table if not exists {database.next('ops', name)} ({columns})")
    database.run(f"create table if not exists {database.next('ops', 'pending')} ({PENDING_COLUMNS})")
    database.run(f"create table if not exists {database.next('ops', 'generation')} ({GENERATION_COLUMNS})")
    database.run(f"create table if not exists {database.next('ops', 'generation_loads')} ({GENERATION_LOAD_COLUMNS})")
    # Numbers that were given out; a generation that was rolled back keeps its own.
    database.run(f"create table if not exists {database.granary('generations')} (generation_number bigint not null)")
    # How often what relations were built from was changed beside their code: fingerprints count it in.
    database.run(f"create table if not exists {database.granary('outdated')} (outdated_at timestamp not null)")
    # The project whose code `granary.code` holds, and what it publishes.
    database.run(f"create table if not exists {database.granary('parsed')} (project varchar, models text)")
    # The code whose unit tests passed: they know nothing of the data, so once is enough.
    database.run(f"create table if not exists {database.granary('unit_tested')} (fingerprint varchar not null)")
    # What dbt made of tests, by the project that they are of, and which passed since what they read last changed.
    database.run(f"create table if not exists {database.granary('compiled_tests')} ({COMPILED_COLUMNS})")
    database.run(f"create table if not exists {database.next('ops', 'tested')} ({TESTED_COLUMNS})")
    # What retention took out of raw, by load: its counts add up with these.
    database.run(
        f"create table if not exists {database.granary('archived')} (source_name varchar, resource_name varchar, "
        "load_id varchar, archived_count bigint, file_name varchar, archived_at timestamp)"
    )
    # A row while raw is redacted: where that was cut short, marts may still know what raw knows no more.
    database.run(f"create table if not exists {database.granary('redacting')} (since timestamp not null)")
    # A row where the next generation is built, tested and held back from readers.
    database.run(f"create table if not exists {database.granary('held')} (tested_at timestamp not null)")


def begin_generation(database: Database) -> None:
    """From here on the generation before is changed: it has no number any more, and nothing goes back to it."""
    database.run(f"delete from {database.granary('held')}")
    database.run(f"delete from {database.next('ops', 'generation')}")


def hold_generation(database: Database) -> None:
    """The next generation is whole and tested, and waits to be published."""
    database.run(f"delete from {database.granary('held')}")
    database.run(
        f"insert into {database.granary('held')} (tested_at) values (%s)", [datetime.now(UTC).replace(tzinfo=None)]
    )


def is_held(database: Database) -> bool:
    """Whether a whole, tested generation waits to be published."""
    held = database.granary("held")
    return database.exists(held) and bool(database.run(f"select 1 from {held}"))


def register_loads(database: Database) -> None:
    """List the completed loads that brought or rejected something: what this build sees of raw."""
    for source in source_names(database.target.project):
        database.run(f"""
            insert into {database.granary("loads")} (load_id, source_name)
            select d.load_id, '{source}'
            from {database.raw(source, "_dlt_loads")} as d
            where
                d.status = 0
                and not exists (select 1 from {database.granary("loads")} as known where known.load_id = d.load_id)
                and exists (
                    select 1 from {database.raw(source, "loads")} as l
                    where
                        l._load_id = d.load_id
                        and l.loaded_count + coalesce(l.deleted_count, 0) + l.rejected_count > 0
                )""")


def fingerprints(manifest: Any, project_folder: Path) -> dict[str, str]:
    """A fingerprint of the code of every model, snapshot and seed, by name.

    It covers the node's own code and settings, the macros it uses, the variables that these read, and everything
    above it: seeds, other models, the columns of sources. Where any of these changes, the relation is built in full.

    Args:
        manifest: dbt's parsed project (`dbt.contracts.graph.manifest.Manifest`).
        project_folder: where the project lies.
    """
    project = manifest.metadata.project_name
    variables = domains.variables(project_folder)
    # What is read of the list of domains: another domain, or a label, changes nothing for who reads neither.
    listed = {
        "source_ids": domains.source_ids(project_folder),
        "named_sources": [asdict(each) for each in domains.named_sources(project_folder)],
    }
    macros: dict[str, str] = {}
    found: dict[str, str] = {}

    def macro_text(unique_id: str, seen: frozenset[str] = frozenset()) -> str:
        if unique_id not in macros and unique_id not in seen and unique_id in manifest.macros:
            macro = manifest.macros[unique_id]
            if macro.package_name != project:
                return unique_id
            below = sorted(macro_text(each, seen | {unique_id}) for each in macro.depends_on.macros)
            read = json.dumps(listed.get(macro.name, ""), sort_keys=True)
            macros[unique_id] = _digest([macro.macro_sql, *_variables_read(macro.macro_sql, variables), read, *below])
        return macros.get(unique_id, unique_id)

    def fingerprint(unique_id: str) -> str:
        if unique_id in found:
            return found[unique_id]
        if unique_id in manifest.sources:
            source = manifest.sources[unique_id]
            columns = (f"{column.name} {column.data_type}" for column in source.columns.values())
            parts = [source.source_name, source.name, *columns]
        else:
            node = manifest.nodes[unique_id]
            settings = {
                key: value for key, value in node.config.to_dict().items() if key not in ("docs", "description")
            }
            parts = [
                node.checksum.checksum if node.resource_type == "seed" else node.raw_code,
                json.dumps(settings, sort_keys=True, default=str),
                *_variables_read(node.raw_code, variables),
                *(f"{column.name} {column.data_type}" for column in node.columns.values()),
                *sorted(macro_text(each) for each in node.depends_on.macros),
                *sorted(fingerprint(each) for each in getattr(node.depends_on, "nodes", [])),
            ]
        found[unique_id] = _digest(parts)
        return found[unique_id]

    return {
        node.name: fingerprint(unique_id)
        for unique_id, node in manifest.nodes.items()
        if node.resource_type in ("model", "snapshot", "seed")
    }


def _variables_read(code: str, variables: dict[str, Any]) -> list[str]:
    """The variables that some code reads, the environment's too, with their values.

    Those by which domains are on are no code's own: what it reads of the list of domains counts instead.
    """
    return [
        f"{name} {json.dumps(values.get(name), sort_keys=True, default=str)}"
        for asked, values, others in ((_VARIABLE, variables, {"domains"}), (ENVIRONMENT, os.environ, {"DOMAINS"}))
        for name in sorted(set(asked.findall(code)) - others)
    ]


def _digest(parts: list[str]) -> str:
    return hashlib.md5("\n".join(parts).encode(), usedforsecurity=False).hexdigest()


def write_code(database: Database, code: dict[str, str]) -> None:
    """Tell dbt the fingerprints of the present code."""
    database.run(f"delete from {database.granary('code')}")
    mark = _with_outdated(database, "")
    rows = ", ".join(f"('{name}', '{fingerprint}{mark}')" for name, fingerprint in sorted(code.items()))
    if rows:
        database.run(f"insert into {database.granary('code')} (relation_name, fingerprint) values {rows}")


def versions() -> list[str]:
    """dbt's, and those of what it works with."""
    return [f"{package} {version(package)}" for package in ("dbt-core", "dbt-duckdb", "dbt-postgres", "duckdb")]


def unit_tested_code(manifest: Any, code: dict[str, str]) -> str:
    """A fingerprint of all that unit tests depend on: the relations' code, they themselves, dbt and its adapters."""
    given = [f"{each.unique_id} {each.checksum}" for each in manifest.unit_tests.values()]
    return _digest([*sorted(code.values()), *sorted(given), *versions()])


def are_unit_tested(database: Database, code: str) -> bool:
    """Whether the unit tests of this code passed in a build of this warehouse."""
    return bool(database.run(f"select 1 from {database.granary('unit_tested')} where fingerprint = %s", [code]))


def note_unit_tested(database: Database, code: str) -> None:
    """The unit tests of this code passed."""
    database.run(f"delete from {database.granary('unit_tested')}")
    database.run(f"insert into {database.granary('unit_tested')} (fingerprint) values (%s)", [code])


def outdate_everything(database: Database) -> datetime:
    """Make the next builds of both generations build every relation in full, as if all code had changed.

    Returns:
        What `withdraw_outdating` takes.
    """
    now = datetime.now(UTC).replace(tzinfo=None)
    database.run(f"insert into {database.granary('outdated')} (outdated_at) values (%s)", [now])
    return now


def withdraw_outdating(database: Database, outdated_at: datetime) -> None:
    """Take `outdate_everything` back, where nothing has changed after all and no build came in between."""
    database.run(f"delete from {database.granary('outdated')} where outdated_at = %s", [outdated_at])


def is_up_to_date(database: Database, published_models: list[str]) -> bool:
    """Whether the published generation has seen every load and is built with the present code."""
    seen_loads, seen_code = database.published("ops", "seen_loads"), database.published("ops", "seen_code")
    if not published_models or not database.exists(seen_loads) or not database.exists(seen_code):
        return False
    names = ", ".join(f"'{name}'" for name in published_models)
    stale = database.run(f"""
        select
            (
                select count(*) from {database.granary("code")} as c
                where
                    c.relation_name in ({names})
                    and not exists (
                        select 1 from {seen_code} as s
                        where s.relation_name = c.relation_name and s.fingerprint = c.fingerprint
                    )
            ) + (
                select count(*)
                from {database.granary("loads")} as l
                cross join (select relation_name from {database.granary("code")} where relation_name in ({names})) as r
                where not exists (
                    select 1 from {seen_loads} as s
                    where s.relation_name = r.relation_name and s.load_id = l.load_id
                )
            )""")
    return int(stale[0][0]) == 0
