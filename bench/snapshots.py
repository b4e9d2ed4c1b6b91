"""Snapshots: a day of one percent through Granary's materialization, by a hand-written merge, and by stock dbt's."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import duckdb
from dbt.cli.main import dbtRunner

from bench.measuring import Measurement, Settings, say, timed
from bench.server import Server
from ingestion.project import PROJECT_ROOT
from warehouse.dbt import close_connections
from warehouse.errors import BuildError
from warehouse.ledger import LOAD_COLUMNS, SEEN_COLUMNS

SIZES = (1_000_000, 10_000_000)
AT_MOST = {"duckdb": 1.4, "postgres": 1.2}
DATABASE = "bench_snapshots"

TRACKED = ("first_name", "email", "status", "amount")
LISTED = ", ".join(TRACKED)
COLUMNS = (
    "id bigint, first_name varchar, email varchar, status varchar, amount numeric(18, 4), valid_at timestamp, "
    "source_revision bigint, is_deleted boolean, observed_at timestamp, load_id varchar"
)
OURS = f"""{{% snapshot ours %}}
{{{{ config(unique_key='id', check_cols={list(TRACKED)}, strategy='change_log', updated_at='valid_at') }}}}
select * from {{{{ target.schema }}}}.log
{{% endsnapshot %}}
"""
STOCK = {
    "stock_timestamp": "strategy='timestamp', updated_at='updated_at'",
    "stock_check": f"strategy='check', check_cols={list(TRACKED)}",
}


def measure(settings: Settings, server: Server | None) -> list[Measurement]:
    """A day on snapshots of each size, on each engine."""
    found = []
    for engine in settings.engines:
        for size in SIZES:
            runs = [_Snapshots(engine, settings, server, settings.size(size)).measure() for _ in range(settings.runs)]
            found += [_middle(lines) for lines in zip(*runs, strict=True)]
    return found


def _middle(lines: tuple[Measurement, ...]) -> Measurement:
    """The same line of several runs, each beside the merge of its own run: that of the median ratio."""
    return sorted(lines, key=lambda each: each.ratio or 0)[len(lines) // 2]


class _Snapshots:
    """One size on one engine: a change log, the state that it leads to, and what is made of both."""

    def __init__(self, engine: str, settings: Settings, server: Server | None, keys: int):
        self.engine, self.server, self.keys = engine, server, keys
        self.folder = settings.folder / "snapshots"
        self.file = self.folder / "snapshots.duckdb"

    def measure(self) -> list[Measurement]:
        """The seconds of a day: each snapshot holds the first version of every key, and one percent changes."""
        say(f"snapshots on {self.engine}: {self.keys:,} keys")
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        if self.server and self.engine == "postgres":
            self.server.fresh(DATABASE)
        self._first_versions()
        self._project("ours", {"ours": OURS}, macros=True)
        self._project("stock", {name: _stock(name) for name in STOCK}, macros=False)
        for project, name in (("ours", "ours"), *(("stock", name) for name in STOCK)):
            self._snapshot(project, name)
        self._second_day()
        hand = self._timed("a watermark merge by hand", lambda: self._run(*self._merge()))
        found = []
        for project, name in (("ours", "ours"), *(("stock", name) for name in STOCK)):
            seconds = self._timed(name, lambda project=project, name=name: self._snapshot(project, name))  # type: ignore[misc]
            found.append(Measurement(
                "snapshots", self.engine, f"{self.keys:,} keys: {_called(name)}", seconds, "a watermark merge by hand",
                hand, seconds / hand, at_most=AT_MOST[self.engine] if name == "ours" else None,
            ))  # fmt: skip
        shutil.rmtree(self.folder, ignore_errors=True)
        return found

    def _timed(self, what: str, work: Callable[[], float | None]) -> float:
        """What the work itself says it took, else the clock."""
        own: list[float | None] = []
        seconds = timed(lambda: own.append(work())).seconds
        seconds = own[0] if own[0] is not None else seconds
        say(f"  {what}: {seconds:.2f} s")
        return seconds

    def _run(self, *statements: str) -> None:
        if self.engine == "postgres":
            assert self.server is not None
            with closing(self.server.connect(DATABASE)) as connection, connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
            return
        with closing(duckdb.connect(str(self.file))) as connection:
            for statement in statements:
                connection.execute(statement)

    def _versions(self, first: int, last: int, version: int, where: str = "true") -> str:
        numbers = f"range({first}, {last} + 1)" if self.engine == "duckdb" else f"generate_series({first}, {last})"
        return f"""
            select cast(i as bigint), 'name ' || (i % 5000), 'user' || i || '.{version}@example.com',
                case (i + {version}) % 3 when 0 then 'active' when 1 then 'inactive' else 'suspended' end,
                cast(i % 100000 as numeric(18, 4)), timestamp '2024-01-01' + {version} * interval '1 day',
                cast({version} as bigint), false, timestamp '2024-01-01' + {version} * interval '1 day',
                'load {version}'
            from {numbers} as numbers(i) where {where}"""

    def _first_versions(self) -> None:
        indexes = [
            "create index on log (id)", "create index on log using brin (load_id)", "create index on log (valid_at)",
            "create unique index on state (id)", "create index on hand (id)", "create index on hand (valid_from)",
        ]  # fmt: skip
        self._run(
            f"create table log ({COLUMNS})",
            f"insert into log {self._versions(1, self.keys, 1)}",
            f"create table state as select id, {LISTED}, valid_at as updated_at from log",
            f"create table hand as select id, {LISTED}, valid_at as valid_from, "
            "timestamp '9999-12-31 00:00:00' as valid_to, true as is_current, false as is_deleted from log",
            # What the ledger needs to know of a build.
            "create schema granary",
            f"create table granary.loads ({LOAD_COLUMNS})",
            "create table granary.code (relation_name varchar, fingerprint varchar)",
            f"create table granary.seen ({SEEN_COLUMNS})",
            "insert into granary.loads values ('load 1', 1, 'bench')",
            "insert into granary.code values ('ours', 'bench')",
            *(indexes if self.engine == "postgres" else []),
        )
        self._settle()

    def _second_day(self) -> None:
        """One percent of the keys changes, a tenth of a percent is new."""
        new = max(1, self.keys // 1000)
        self._run(
            f"insert into log {self._versions(1, self.keys, 2, 'i % 100 = 7')}",
            f"insert into log {self._versions(self.keys + 1, self.keys + new, 2)}",
            f"update state set {', '.join(f'{name} = log.{name}' for name in TRACKED)}, updated_at = log.valid_at "
            "from log where log.id = state.id and log.load_id = 'load 2'",
            f"insert into state select id, {LISTED}, valid_at from log where id > {self.keys}",
            "insert into granary.loads values ('load 2', 2, 'bench')",
        )
        self._settle()

    def _settle(self) -> None:
        self._run(*(["vacuum analyze", "checkpoint"] if self.engine == "postgres" else ["checkpoint"]))

    def _merge(self) -> tuple[str, ...]:
        return (
            "begin",
            "create temporary table changed as select * from log where valid_at > (select max(valid_from) from hand)",
            *(["analyze changed"] if self.engine == "postgres" else []),
            "update hand set valid_to = changed.valid_at, is_current = false from changed "
            "where hand.id = changed.id and hand.is_current",
            f"insert into hand select id, {LISTED}, valid_at, timestamp '9999-12-31 00:00:00', true, false "
            "from changed",
            "commit",
        )

    def _project(self, name: str, snapshots: dict[str, str], macros: bool) -> None:
        """A dbt project of its own: Granary's materialization and the stock one have the same name."""
        folder = self.folder / name
        (folder / "snapshots").mkdir(parents=True)
        for each, text in snapshots.items():
            (folder / "snapshots" / f"{each}.sql").write_text(text, encoding="utf-8")
        if macros:
            (folder / "macros").symlink_to(PROJECT_ROOT / "macros")
        (folder / "dbt_project.yml").write_text(
            "name: granary\nversion: '1.0'\nprofile: bench\nsnapshots: {granary: {+schema: snapshots}}\n"
            "flags: {send_anonymous_usage_stats: false}\n",
            encoding="utf-8",
        )
        if self.engine == "duckdb":
            output = f"{{type: duckdb, path: '{self.file}', schema: main, threads: 1}}"
        else:
            assert self.server is not None
            output = (
                f"{{type: postgres, host: '{self.server.host}', port: 5432, user: postgres, password: none, "
                f"dbname: {DATABASE}, schema: public, threads: 1}}"
            )
        (folder / "profiles.yml").write_text(
            f"bench: {{target: bench, outputs: {{bench: {output}}}}}\n", encoding="utf-8"
        )

    def _snapshot(self, project: str, name: str) -> float:
        """Run one snapshot. Returns the seconds of the node itself: dbt's start is apart."""
        folder = Path(self.folder / project)
        places = ["--project-dir", str(folder), "--profiles-dir", str(folder), "--target-path", str(folder / "target")]
        log = ["--quiet", "--log-level", "none", "--log-path", str(folder / "logs")]
        result = dbtRunner().invoke([*log, "snapshot", "--select", name, *places])
        close_connections()
        if not result.success:
            raise BuildError(f"snapshot {name}: {result.exception or result.result.results[0].message}")
        return float(result.result.results[0].execution_time)


def _stock(name: str) -> str:
    config = f"unique_key='id', {STOCK[name]}, target_schema='snapshots'"
    return (
        f"{{% snapshot {name} %}}\n{{{{ config({config}) }}}}\n"
        "select * from {{ target.schema }}.state\n{% endsnapshot %}\n"
    )


def _called(name: str) -> str:
    return "a day" if name == "ours" else f"a day, stock dbt's strategy {name.removeprefix('stock_')}"
