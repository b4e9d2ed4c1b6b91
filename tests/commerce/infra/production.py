"""A production cluster with a small company's warehouse on it, of Debian's packages, for tests of what stands on it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import pytest

from infra.cluster import Cluster, bring_down, bring_up
from infra.logins import make_login
from infra.machine import require_tools
from infra.migrate import migrate
from tests.absent import absent
from tests.commerce.world import Company
from tests.ports import free_port
from tests.tiny.test_rights import another_day
from tests.warehouses import settings
from warehouse.errors import BuildError

PASSWORD = "a password of this test"


@dataclass
class Production:
    cluster: Cluster
    world: Company
    said: list[str]

    def reader(self, **other: object) -> psycopg2.extensions.connection:
        """A reporter's connection through the pooler."""
        settings: dict[str, object] = {
            "host": "localhost", "port": self.cluster.pooler_port, "user": "anna", "password": PASSWORD,
            "dbname": "granary", "sslmode": "verify-full", "sslrootcert": f"{self.cluster.root}/tls/ca.crt", **other,
        }  # fmt: skip
        connection = psycopg2.connect(**settings)  # type: ignore[call-overload]
        connection.autocommit = True
        return connection


@pytest.fixture(scope="module")
def production(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    """A cluster with a small company's warehouse on it."""
    try:
        require_tools()
    except BuildError as error:
        absent(request, f"POSTGRES WITH ITS TOOLS IS NOT HERE: BACKUP, RESTORE AND FAILOVER NOT TESTED ({error})")
    # The server's user has to come in, and a socket's name may not be long.
    folder = Path(tempfile.mkdtemp(prefix="granary_infra_"))
    folder.chmod(0o755)
    cluster, said = Cluster(folder / "c", free_port()), []
    try:
        bring_up(cluster, said.append)
        with settings(cluster.environment("one")):
            migrate("head", said.append)
            for login, role in (("build", "builder"), ("anna", "reporter")):
                make_login(login, role, [], PASSWORD, said.append)
        engine = {**cluster.environment("one", "build"), "PGPASSWORD": PASSWORD, "TARGET": "prod"}
        world = Company(tmp_path_factory.mktemp("production"), engine, days=6)
        world.deliver(world.withheld())
        world.build()
        another_day(world)
        yield Production(cluster, world, said)
    finally:
        bring_down(cluster, said.append)
        shutil.rmtree(folder)
