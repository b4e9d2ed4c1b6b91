"""A drill: forget somebody, restore to before that, and see that they are forgotten again and the money is the same.

It works in a database of its own on the cluster, with a few days of the simulated company, and leaves nothing behind.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from infra.cluster import Cluster, primary_of, run_sql
from infra.drills import Say, backup, noted, restored
from infra.migrate import HEAD, migrate
from ingestion.contracts import PROJECT_ROOT
from ingestion.environment import variables
from warehouse.errors import BuildError

DATABASE = "granary_drill"
_MONEY = "select coalesce(sum(net_amount), 0) from commerce.fct_sales"


def erasure_drill(cluster: Cluster, say: Say) -> float:
    """Forget a person, restore to the time before, forget again.

    Returns:
        How many seconds passed between the restored server's start and the person being gone from it.

    Raises:
        BuildError: something of the person is left, or the money isn't what it was.
    """
    primary = primary_of(cluster)
    folder = Path(tempfile.mkdtemp(prefix="granary_drill_"))
    server = cluster.environment(primary) | {"PGDATABASE": DATABASE, "TARGET": "prod"}
    tested = {"DBT_EXCLUDE_RESOURCE_TYPES": "test unit_test"}
    run_sql(cluster, primary, f"drop database if exists {DATABASE}")
    run_sql(cluster, primary, f"create database {DATABASE}")
    try:
        with variables(server):
            migrate(HEAD, lambda line: None)
        _run("ingestion.demo", "simulate", "--folder", str(folder / "company"), "--days", "5", "--scale", "0.1")
        shop = {"SOURCES__SHOP__CREDENTIALS": f"sqlite:///{folder}/company/shop.sqlite"}
        settings = {**server, **shop, **tested, "WAREHOUSE_DIR": str(folder / "warehouse")}
        say("building a few days of the simulated company")
        _run("warehouse", "build", **settings)
        stands_for = (
            "select u.id || ' ' || i.value from raw_shop.users as u join privacy.identifiers as i on i.token = u.email "
            "order by u.id limit 1"
        )
        person, address = run_sql(cluster, primary, stands_for, DATABASE).split(" ", 1)
        money = run_sql(cluster, primary, _MONEY, DATABASE)
        backup(cluster, "incr", say)
        before = run_sql(cluster, primary, "select clock_timestamp()")
        time.sleep(1)
        _run("warehouse", "forget", f"shop:{person}", **settings)
        _expect_gone(cluster, primary, person, address, money)
        say("forgotten on the running server; the money is what it was")
        with restored(cluster, before, say) as (port, _):
            if run_sql(cluster, port, _known(address), DATABASE) != "1":
                raise BuildError(
                    "the restored server should know who was forgotten since, and doesn't: it proves nothing"
                )
            started = time.monotonic()
            _run("warehouse", "forget", **{**settings, "PGPORT": str(port)})
            seconds = time.monotonic() - started
            _expect_gone(cluster, port, person, address, money)
    finally:
        run_sql(cluster, primary, f"drop database if exists {DATABASE} with (force)")
        shutil.rmtree(folder, ignore_errors=True)
    say(f"forgotten again on the restored server after {seconds:.0f} s; the money is what it was")
    noted(cluster, primary, "erasure drill", {"seconds": round(seconds, 1)})
    return seconds


def _known(address: str) -> str:
    return "select count(*) from privacy.identifiers where value = '" + address.replace("'", "''") + "'"


def _expect_gone(cluster: Cluster, node: str | int, person: str, address: str, money: str) -> None:
    marts = " union all ".join(
        f"select email_token from {schema}.dim_customers where customer_id = '{person}'"
        for schema in ("commerce", "commerce__next")
    )
    raw = f"select email from raw_shop.users where id = '{person}'"
    tokens = f"select count(*) from ({marts} union all {raw}) as t where email_token not like 'forgotten%'"
    left = run_sql(cluster, node, f"select ({_known(address)}) + ({tokens})", DATABASE)
    if left != "0":
        raise BuildError(f"{left} places still know who was forgotten")
    if (now := run_sql(cluster, node, _MONEY, DATABASE)) != money:
        raise BuildError(f"sales were {money} and are {now}: forgetting somebody changed the money")


def _run(module: str, *arguments: str, **settings: str) -> None:
    plain: Mapping[str, str] = {
        name: value for name, value in os.environ.items() if not name.startswith(("PG", "SOURCES__", "PRIVACY__"))
    }
    ended = subprocess.run(
        [sys.executable, "-m", module, *arguments], cwd=PROJECT_ROOT, env={**plain, **settings},
        capture_output=True, text=True,
    )  # fmt: skip
    if ended.returncode:
        raise BuildError(f"{module} {arguments[0]} failed: {(ended.stderr or ended.stdout).strip().splitlines()[-1]}")
