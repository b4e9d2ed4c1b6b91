"""Made-up versions, and a dbt project of one snapshot over them: our own materialization, on either engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import psycopg2
from dbt.cli.main import dbtRunner

from ingestion.project import PROJECT_ROOT
from warehouse.dbt import close_connections
from warehouse.ledger import LOAD_COLUMNS, SEEN_COLUMNS

LOG_COLUMNS = (
    "shop varchar, item bigint, label varchar, valid_at timestamp, source_revision bigint, is_deleted boolean, "
    "observed_at timestamp, load_id varchar"
)


def said(moment: datetime) -> str:
    """A time of 2025 without the year, and midnight without the hour; `…` for the beginning or the end of time."""
    if moment.year in (1900, 9999):
        return "…"
    return moment.isoformat().removeprefix("2025-").removesuffix("T00:00:00")


class MadeUpHistory:
    """A log of versions of records whose key is (shop, item), and the snapshot `history` of it."""

    def __init__(self, folder: Path, postgres: Mapping[str, str] | None):
        """Args: folder: where the project lies. postgres: libpq's settings of an empty database; None for DuckDB."""
        self.folder, self.postgres = folder, postgres
        (folder / "snapshots").mkdir()
        (folder / "macros").symlink_to(PROJECT_ROOT / "macros")
        (folder / "dbt_project.yml").write_text(
            "name: granary\nversion: '1.0'\nprofile: made_up\nsnapshots: {granary: {+schema: snapshots}}\n",
            encoding="utf-8",
        )
        if postgres is None:
            output = f"type: duckdb, path: '{folder / 'history.duckdb'}', schema: main"
        else:
            output = (
                f"type: postgres, host: '{postgres['host']}', port: {postgres.get('port', 5432)}, "
                f"user: '{postgres['user']}', password: '{postgres.get('password', '')}', "
                f"dbname: '{postgres['dbname']}', schema: public"
            )
        (folder / "profiles.yml").write_text(
            f"made_up: {{target: t, outputs: {{t: {{{output}, threads: 1}}}}}}\n", encoding="utf-8"
        )
        self.track("label")
        self.run(f"create table log ({LOG_COLUMNS})", "create schema granary")
        self.run(
            f"create table granary.loads ({LOAD_COLUMNS})",
            f"create table granary.seen ({SEEN_COLUMNS})",
            "create table granary.code (relation_name varchar, fingerprint varchar)",
            "insert into granary.code values ('history', 'as it was written')",
        )

    def run(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements. Returns the rows of the last, if it has any."""
        if self.postgres is None:
            with closing(duckdb.connect(str(self.folder / "history.duckdb"))) as connection:
                for statement in statements:
                    found = connection.execute(statement)
                return found.fetchall()
        with closing(psycopg2.connect(**self.postgres)) as connection, connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def track(self, *columns: str) -> None:
        """Say which columns the snapshot follows."""
        (self.folder / "snapshots" / "history.sql").write_text(
            "{% snapshot history %}\n"
            f"{{{{ config(unique_key=['shop', 'item'], check_cols={list(columns)}, "
            "strategy='change_log', updated_at='valid_at') }}\n"
            "select * from {{ target.schema }}.log\n{% endsnapshot %}\n",
            encoding="utf-8",
        )

    def load(self, load_id: str, columns: str, rows: Iterable[str]) -> None:
        """Bring versions by one load: `rows` are SQL lists of values for `columns`, in the order of their writing."""
        self.run(
            *(f"insert into log ({columns}, load_id) values ({row}, '{load_id}')" for row in rows),
            f"insert into granary.loads select '{load_id}', count(*) + 1, 'made up' from granary.loads",
        )

    def snapshot(self) -> None:
        """Let dbt make the snapshot from what is loaded."""
        self._dbt("snapshot")

    def latest_labels(self) -> dict[int, str]:
        """The label of each living item, by the macro `latest_versions` over a staging model of the log."""
        return dict(self.model(
            "select latest.item, latest.label from {{ latest_versions(ref('stg_log'), ['shop', 'item']) }} as latest"
        ))  # fmt: skip

    def model(self, select: str) -> list[tuple[Any, ...]]:
        """The rows of a model, which may read a staging model of the log, `stg_log`."""
        models = self.folder / "models"
        models.mkdir(exist_ok=True)
        (models / "stg_log.sql").write_text("select * from {{ target.schema }}.log\n", encoding="utf-8")
        (models / "asked.sql").write_text(f"{select}\n", encoding="utf-8")
        self._dbt("run")
        return self.run("select * from main.asked")

    def _dbt(self, command: str) -> None:
        folder = str(self.folder)
        result = dbtRunner().invoke([
            "--quiet", "--log-level", "none", "--log-path", folder, command, "--project-dir", folder,
            "--profiles-dir", folder, "--target-path", str(self.folder / "target"),
        ])  # fmt: skip
        close_connections()
        assert result.success, result.exception or result.result.results[0].message

    def intervals(self, shown: str = "label") -> dict[tuple[str, int], list[str]]:
        """The snapshot's rows by key, in order, as `<from> <to> <shown>`, with what else is to be said behind."""
        rows = self.run(
            f"select shop, item, valid_from, valid_to, {shown}, is_deleted, is_current from snapshots.history "
            "order by shop, item, valid_from, valid_to"
        )
        found: dict[tuple[str, int], list[str]] = {}
        for shop, item, start, end, value, is_deleted, is_current in rows:
            assert is_current == (end.year == 9999), (shop, item, start)
            text = f"{said(start)} {said(end)} {value}{' deleted' if is_deleted else ''}"
            found.setdefault((shop, item), []).append(text)
        return found
