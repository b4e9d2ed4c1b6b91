"""A publish that changes the project changes what the API says there is, without the API being started anew."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.api.conftest import grown, logins_of
from tests.api.served import Served, served
from tests.tiny.test_rights import another_day
from tests.tiny.world import TinyWorld
from tests.warehouses import as_environment

READER, TENANT = "project_reporter", "project_few"
LOGINS = {READER: [], TENANT: [f"member:{number}" for number in range(1, 8)]}
MART = "/marts/tiny/agg_visits__members"
MODEL = """
select
    member_key,
    source_key,
    cast(count(*) as bigint) as visit_count
from {{ ref('fct_visits') }}
group by member_key, source_key
"""
DESCRIBED = """
  - name: agg_visits__members
    description: One row for each member with visits; key `member_key`.
    config:
      materialized: table
      meta: {access: tenant, tenant_key: member_key}
    columns:
      - {name: member_key, data_type: uuid, description: Who came.}
      - {name: source_key, data_type: uuid}
      - {name: visit_count, data_type: bigint}
"""


@pytest.fixture(params=["duckdb", pytest.param("postgres", marks=pytest.mark.postgres)])
def changing(
    request: pytest.FixtureRequest, new_postgres_database: Callable[[], dict[str, str]], tmp_path: Path
) -> Iterator[Served]:
    """An API over a warehouse whose project can be changed."""

    def world_of(engine: dict[str, str]) -> TinyWorld:
        world = TinyWorld(tmp_path, engine)
        world.club.with_own_project(tmp_path / "project")
        return grown(world)

    if request.param == "duckdb":
        with served(world_of({}), {}, LOGINS) as made:
            yield made
        return
    admin = {**as_environment(new_postgres_database()), "TARGET": "prod"}
    with logins_of(admin, LOGINS, "project_builder"):
        world = world_of({**admin, "PGUSER": "project_builder"})
        with served(world, admin, LOGINS) as made:
            yield made


@pytest.mark.slow
def test_a_mart_that_a_publish_adds(changing: Served) -> None:
    marts = changing.world.club.project / "models" / "marts" / "tiny"
    before = {login: changing.get("/catalog", login) for login in LOGINS}
    assert changing.get(MART, READER).status_code == 404
    (marts / "agg_visits__members.sql").write_text(MODEL, encoding="utf-8")
    described = marts / "_tiny__models.yml"
    text = described.read_text(encoding="utf-8")
    described.write_text(text.replace("\nunit_tests:", DESCRIBED + "\nunit_tests:"), encoding="utf-8")
    # What nobody has published yet is not there, and nobody is kept from what is.
    assert changing.get(MART, READER).status_code == 404
    assert changing.get("/marts/tiny/fct_visits", TENANT, params={"limit": 1}).status_code == 200
    another_day(changing.world)
    for login in LOGINS:
        until = time.monotonic() + 60
        while changing.get(MART, login).status_code != 200:
            assert time.monotonic() < until, changing.get(MART, login).text
            time.sleep(0.2)
        visits = changing.rows("/marts/tiny/fct_visits", login)
        wanted = Counter(row["member_key"] for row in visits)
        assert {row["member_key"]: row["visit_count"] for row in changing.rows(MART, login)} == wanted and wanted
        catalog = changing.get("/catalog", login, headers={"If-None-Match": before[login].headers["ETag"]})
        [mart] = [each for each in catalog.json()["marts"] if each["path"] == MART]
        assert mart["grain"] == "One row for each member with visits; key `member_key`."
        assert mart["columns"][0]["description"] == "Who came."
        assert MART in changing.get("/openapi.json", login).json()["paths"]


@pytest.mark.slow
def test_a_project_that_does_not_parse_leaves_what_there_is(tmp_path: Path) -> None:
    world = TinyWorld(tmp_path, {})
    world.club.with_own_project(tmp_path / "project")
    with served(grown(world), {}, LOGINS) as made:
        catalog = made.get("/catalog", READER).json()
        another_day(world)
        broken = world.club.project / "models" / "marts" / "tiny" / "agg_visits__members.sql"
        broken.write_text("select 1 from {{ ref('nothing') }}", encoding="utf-8")
        until = time.monotonic() + 60
        while "can't be read" not in made.log.read_text(encoding="utf-8"):
            assert time.monotonic() < until
            made.get("/catalog", READER)
            time.sleep(0.2)
        again = made.get("/catalog", READER).json()
        assert again["marts"] == catalog["marts"] and again["generation"] == catalog["generation"] + 1
