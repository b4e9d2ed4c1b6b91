"""The project keeps its layering, and every rule of it can fail."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.project import imports, layering, tested

ROOT = Path(__file__).resolve().parents[2]
RULES = (*layering.RULES, *imports.RULES, *tested.RULES)

STAGED = (
    "with source as (\n    select order_id from {{ source('shop', 'orders') }}\n)\n\nselect order_id\nfrom source\n"
)
MART = "select\n    order_key,\n    count(*) as line_count\nfrom {{ ref('int_orders__joined') }}\ngroup by order_key\n"
SOUND = {
    "models/staging/shop/stg_shop__orders.sql": STAGED,
    "models/staging/shop/_shop__sources.yml": (
        "sources: [{name: shop, config: {meta: {owner: commerce}, freshness: {warn_after: {count: 1, period: day}}}}]"
    ),
    "models/staging/shop/_shop__models.yml": "models: [{name: stg_shop__orders, description: Orders.}]",
    "snapshots/shop/_shop__snapshots.yml": (
        "snapshots: [{name: snap_shop__orders, relation: \"ref('stg_shop__orders')\", "
        "data_tests: [{history_is_sound: {arguments: {key: order_id}}}]}]"
    ),
    "models/intermediate/commerce/int_orders__joined.sql": (
        "-- unlike source(), a snapshot has history\nselect order_key\nfrom {{ ref('snap_shop__orders') }}\n"
    ),
    "models/intermediate/commerce/_commerce__models.yml": "models: [{name: int_orders__joined, description: Orders.}]",
    "models/marts/commerce/fct_orders.sql": MART,
    "models/marts/commerce/fct_orders.yml": (
        "models: [{name: fct_orders, description: Orders., "
        "data_tests: [{version_holds_at: {arguments: {version_key: customer_version_key}}}], columns: ["
        "{name: order_key, data_tests: [unique]}, {name: customer_key, data_tests: [{relationships: {}}]}, "
        "{name: customer_version_key, data_tests: [{relationships: {}}]}]}]"
    ),
    "models/marts/core/dim_customers.yml": (
        "models: [{name: dim_customers, data_tests: [history_is_sound], columns: ["
        "{name: customer_version_key}, {name: valid_from}, {name: valid_to}]}]"
    ),
    "models/marts/commerce/agg_orders__daily.yml": "unit_tests: [{name: days, model: agg_orders__daily}]",
    "models/ops/loads.sql": "select load_id\nfrom {{ source('ops', 'loads') }}\n",
    "models/ops/_ops__models.yml": "models: [{name: loads, description: Loads.}]",
    "macros/portable/hash.sql": "{% macro duckdb__hash(x) %}md5({{ x }}){% endmacro %}",
    "seeds/core/countries.csv": "country_code\nGB\n",
    "ingestion/readers/sql/__init__.py": "from ingestion.readers.settings import setting\n",
    "ingestion/sources/shop/__init__.py": "from ingestion.readers import sql\nfrom . import database\n",
    "ingestion/sources/retail/__init__.py": "",
    "ingestion/demo/__main__.py": "from ingestion.demo import world\n",
    "warehouse/__main__.py": "from warehouse.project import edits\nfrom warehouse.build import build\n",
    "warehouse/build/build.py": "import ingestion.load.loading\nfrom warehouse import ledger\n",
    "warehouse/people/retention.py": "from warehouse.build import build\nfrom warehouse.people import extract\n",
    "warehouse/project/edits.py": "from warehouse.errors import BuildError\n",
    "tests/commerce/ingestion/test_demo.py": "from ingestion.demo import world\n",
}
LONG = "select order_id\nfrom {{ source('shop', 'orders') }}\n" + "\n" * 60


def planted(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_project_keeps(rule: Callable[[Path], list[str]]) -> None:
    assert rule(ROOT) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_sound_project_passes(rule: Callable[[Path], list[str]], tmp_path: Path) -> None:
    assert rule(planted(tmp_path, SOUND)) == []


@pytest.mark.parametrize(
    ("rule", "path", "text"),
    [
        (layering.sources_read_outside_staging, "models/marts/commerce/fct_orders.sql", STAGED),
        (layering.sources_read_outside_staging, "models/intermediate/commerce/int_orders__joined.sql", STAGED),
        (
            layering.sources_read_outside_staging,
            "snapshots/shop/_shop__snapshots.yml",
            "snapshots: [{name: snap_shop__orders, relation: \"source('shop', 'orders')\"}]",
        ),
        (
            layering.sources_of_others,
            "models/staging/shop/stg_shop__orders.sql",
            "select id from {{ source('retail', 'orders') }}",
        ),
        (
            layering.refs_against_the_flow,
            "models/staging/shop/stg_shop__lines.sql",
            "select order_id from {{ ref('stg_shop__orders') }}",
        ),
        (
            layering.refs_against_the_flow,
            "models/staging/shop/stg_shop__lines.sql",
            "select country_code from {{ ref('countries') }}",
        ),
        (
            layering.refs_against_the_flow,
            "models/intermediate/commerce/int_orders__joined.sql",
            'select order_key from {{ ref("granary", "fct_orders") }}',
        ),
        (
            layering.refs_against_the_flow,
            "snapshots/shop/_shop__snapshots.yml",
            "snapshots: [{name: snap_shop__orders, relation: \"ref('int_orders__joined')\"}]",
        ),
        (layering.refs_against_the_flow, "models/marts/core/dim_loads.sql", "select load_id from {{ ref('loads') }}"),
        (layering.models_outside_the_layers, "models/reports/fct_orders.sql", MART),
        (layering.models_outside_the_layers, "models/marts/commerce/orders.sql", MART),
        (layering.models_outside_the_layers, "models/marts/commerce/agg_orders.sql", MART),
        (layering.models_outside_the_layers, "models/staging/shop/stg_retail__orders.sql", STAGED),
        (layering.bare_arithmetic, "models/marts/commerce/fct_orders.sql", "select quantity * price as amount from a"),
        (layering.bare_arithmetic, "models/marts/commerce/fct_orders.sql", "select {{ f('a * b') }} from a"),
        (layering.bare_arithmetic, "models/intermediate/commerce/int_a.sql", "select sum(a) / count(*) from a"),
        (layering.bare_arithmetic, "models/intermediate/commerce/int_a.sql", "select avg(amount) from a"),
        (layering.engines_named, "models/marts/commerce/fct_orders.sql", "{% if target.type == 'x' %}{% endif %}"),
        (layering.engines_named, "models/marts/commerce/fct_orders.sql", "select 1 -- DuckDB rounds"),
        (layering.engines_named, "tests/data/orders__add_up.sql", "{% if adapter.type() == 'postgres' %}{% endif %}"),
        (layering.engines_named, "models/ops/_ops__models.yml", "models: [{name: a, enabled: '{{ target.type }}'}]"),
        (layering.engines_named, "macros/history/snapshot.sql", "{% macro postgres__now() %}{% endmacro %}"),
        (layering.long_models, "models/staging/shop/stg_shop__orders.sql", LONG),
        (layering.long_models, "models/marts/commerce/fct_orders.sql", MART + "\n" * 150),
        (layering.undescribed_models, "models/marts/commerce/fct_lines.sql", MART),
        (
            layering.undescribed_models,
            "models/marts/commerce/fct_orders.yml",
            "models: [{name: fct_orders, description: ''}]",
        ),
        (layering.undescribed_models, "models/marts/core/fct_orders.sql", MART),
        (
            layering.contracts_without_owner_or_freshness,
            "models/staging/shop/_shop__sources.yml",
            "sources: [{name: shop, config: {meta: {owner: commerce}}}]",
        ),
        (
            layering.contracts_without_owner_or_freshness,
            "models/staging/shop/_shop__sources.yml",
            "sources: [{name: shop, config: {freshness: {warn_after: {count: 1, period: day}}}}]",
        ),
        (
            tested.untested_foreign_keys,
            "models/marts/commerce/fct_orders.yml",
            "models: [{name: fct_orders, columns: [{name: customer_key, data_tests: [not_null]}]}]",
        ),
        (
            tested.untested_histories,
            "snapshots/shop/_shop__snapshots.yml",
            "snapshots: [{name: snap_shop__orders, data_tests: [unique]}]",
        ),
        (tested.untested_histories, "snapshots/shop/snap_shop__lines.sql", "{% snapshot snap_shop__lines %}"),
        (
            tested.untested_histories,
            "models/marts/core/dim_customers.yml",
            "models: [{name: dim_customers, columns: [{name: valid_from}, {name: valid_to}]}]",
        ),
        (
            tested.untested_version_keys,
            "models/marts/commerce/fct_orders.yml",
            "models: [{name: fct_orders, columns: [{name: customer_version_key}]}]",
        ),
        (
            tested.untested_version_keys,
            "models/marts/commerce/fct_orders.yml",
            "models: [{name: fct_orders, columns: [{name: customer_version_key}], "
            "data_tests: [{version_holds_at: {arguments: {version_key: product_version_key}}}]}]",
        ),
        (
            tested.unit_tests_that_need_a_built_model,
            "models/marts/commerce/agg_orders__daily.sql",
            "{{ config(materialized='incremental') }}\n" + MART,
        ),
        (
            layering.starred_marts,
            "models/marts/commerce/fct_orders.sql",
            "with a as (select 1 as x)\nselect *\nfrom a\n",
        ),
        (
            layering.starred_marts,
            "models/marts/commerce/fct_orders.sql",
            "select\n    a.order_key,\n    b.*\nfrom a\ninner join b on a.x = b.x\n",
        ),
        (
            layering.starred_marts,
            "models/marts/commerce/fct_orders.sql",
            "select x from (select 1 as x)\nunion all\nselect * from b\n",
        ),
        (layering.starred_marts, "models/marts/commerce/fct_orders.sql", "select distinct *\nfrom a\n"),
        (
            layering.ignored_columns_that_are_read,
            "models/marts/commerce/agg_orders__daily.sql",
            "{{ config(\n    meta={'follows': {'relation': 'fct_orders', 'ignores': ['order_key']}},\n"
            "    pre_hook=\"{{ f('order_key') }}\",\n) }}\n\n" + MART,
        ),
        (imports.imports_against_the_flow, "ingestion/load/loading.py", "import warehouse.ledger\n"),
        (
            imports.imports_against_the_flow,
            "ingestion/load/loading.py",
            "def f():\n    from orchestration import jobs\n",
        ),
        (imports.imports_against_the_flow, "ingestion/load/loading.py", "import ingestion.demo\n"),
        (imports.imports_against_the_flow, "warehouse/build/build.py", "from ingestion import demo\n"),
        (imports.imports_against_the_flow, "warehouse/build/build.py", "from orchestration.jobs import daily\n"),
        (
            imports.imports_against_the_flow,
            "bench/run.py",
            "import importlib\n\nimportlib.import_module('ingestion.demo.world')\n",
        ),
        (imports.imports_against_the_flow, "ingestion/sources/shop/source.py", "from ..retail import files\n"),
        (imports.imports_against_the_flow, "ingestion/sources/shop/source.py", "from .. import retail\n"),
        (imports.imports_against_the_flow, "ingestion/sources/shop/source.py", "import ingestion.sources.retail\n"),
        (imports.sources_named_by_readers, "ingestion/readers/sql/reader.py", "from ingestion import sources\n"),
        (imports.sources_named_by_readers, "ingestion/readers/sql/reader.py", "import ingestion.sources.own\n"),
        (imports.sources_named_by_readers, "ingestion/readers/sql/reader.py", "name = 'raw_shop'\n"),
        (imports.sources_named_by_readers, "ingestion/readers/sql/reader.py", "# SOURCES__RETAIL__BUCKET_URL\n"),
        (imports.groups_against_the_order, "warehouse/publish/publish.py", "from warehouse.runs import runs\n"),
        (imports.groups_against_the_order, "warehouse/publish/publish.py", "def f():\n    from ..build import build\n"),
        (imports.groups_against_the_order, "warehouse/ledger.py", "from warehouse.publish.access import audited\n"),
        (imports.groups_against_the_order, "warehouse/build/build.py", "import warehouse.project.edits\n"),
        (imports.groups_against_the_order, "warehouse/project/edits.py", "import warehouse.build.build\n"),
        (imports.groups_against_the_order, "warehouse/history/history.py", "import warehouse.errors\n"),
        (imports.groups_against_the_order, "ingestion/load/run.py", "from ingestion.readers import sql\n"),
        (imports.groups_against_the_order, "ingestion/readers/sql/reader.py", "from ingestion import sources\n"),
    ],
)
def test_violation_is_found(rule: Callable[[Path], list[str]], path: str, text: str, tmp_path: Path) -> None:
    assert rule(planted(tmp_path, {**SOUND, path: text}))  # and nothing without it, as the test above proves


@pytest.mark.parametrize(
    "text",
    [
        "with a as (\n    select *\n    from b\n)\n\nselect\n    x,\n    count(*) as b_count\nfrom a\ngroup by x\n",
        "select\n    quantity * price as gross_amount,\n    '*' as star\nfrom a\n",
        "{# select * from a #}\nselect\n    x, -- not *\nfrom a\nwhere x in (select * from b)\n",
    ],
)
def test_stars_elsewhere_are_allowed(text: str, tmp_path: Path) -> None:
    assert layering.starred_marts(planted(tmp_path, {**SOUND, "models/marts/commerce/fct_orders.sql": text})) == []


def test_exceptions_have_reasons() -> None:
    for exceptions in (
        layering.SOURCE_READERS,
        layering.ENGINE_AWARE,
        tested.KEYS_WITHOUT_TARGET,
        tested.INTERVALS_TESTED_OTHERWISE,
    ):
        assert all(reason.strip() for reason in exceptions.values())
