"""What the dbt package dbt_project_evaluator would find in this project, worked out from dbt's manifest alone.

The rules are those of its version 1, the last for dbt 1, as its documentation gives them (docs/rules: modeling.md,
testing.md, structure.md, performance.md, governance.md), said again in words and code of our own. What one of them
finds is as in the package's table of the same name, so that the package's exceptions hold here too
(docs/customization/exceptions.md). Those that dbt-bouncer.yml holds at least as strictly are left to it: `ELSEWHERE`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from tests.project.evaluated import Graph

Finding = dict[str, str]

# The rules that checks of dbt-bouncer.yml hold.
ELSEWHERE = {
    "fct_documentation_coverage": {"check_model_description_populated"},
    "fct_hard_coded_references": {"check_model_hard_coded_references"},
    "fct_marts_or_intermediate_dependent_on_source": {"check_lineage_source_cannot_be_used"},
    "fct_staging_dependent_on_marts_or_intermediate": {"check_lineage_permitted_upstream_models"},
    "fct_staging_dependent_on_staging": {"check_lineage_permitted_upstream_models"},
    "fct_test_directories": {"check_model_documented_in_same_directory"},
    "fct_undocumented_models": {"check_model_description_populated"},
    "fct_undocumented_public_models": {"check_model_description_populated", "check_model_column_description_populated"},
    "fct_undocumented_source_tables": {"check_source_description_populated"},
    "fct_undocumented_sources": {"check_source_top_level_description_populated"},
}


def fct_direct_join_to_source(graph: Graph) -> list[Finding]:
    """A model reads a source and a model: the source has no staging model, or it isn't used."""
    return [
        {"parent": graph.name(parent), "child": graph.name(model)}
        for model in graph.of("model")
        if graph.parents_of(model, "source") and graph.parents_of(model, "model")
        for parent in graph.parents[model]
        if graph.kind(parent) in ("source", "model")
    ]


def fct_duplicate_sources(graph: Graph) -> list[Finding]:
    """Two sources are one table."""
    names = defaultdict(list)
    for key in graph.of("source"):
        node = graph.nodes[key]
        names[f"{node['database']}.{node['schema']}.{node['identifier']}"].append(graph.name(key))
    return [
        {"source_db_location": place, "source_names": ", ".join(sorted(each))}
        for place, each in names.items()
        if len(each) > 1
    ]


def fct_model_fanout(graph: Graph) -> list[Finding]:
    """Many models that nothing reads hang on one parent."""
    leaves = {key: [each for each in graph.models_from(key) if not graph.children[each]] for key in graph.nodes}
    return [
        {"parent": graph.name(key), "leaf_children": ", ".join(sorted(map(graph.name, each)))}
        for key, each in leaves.items()
        if len(each) >= graph.variables["models_fanout_threshold"]
    ]


def fct_multiple_sources_joined(graph: Graph) -> list[Finding]:
    """More than one source is read at once."""
    read = {key: graph.parents_of(key, "source") for key in graph.parents}
    return [
        {"child": graph.name(key), "source_parents": ", ".join(sorted(map(graph.name, each)))}
        for key, each in read.items()
        if len(each) > 1
    ]


def fct_rejoining_of_upstream_concepts(graph: Graph) -> list[Finding]:
    """A loop: between a parent and its child stands another child, which nothing else reads."""
    children = {
        key: [each for each in graph.children[key] if graph.kind(each) not in ("exposure", "metric")]
        for key in graph.parents
        if graph.kind(key) not in ("exposure", "metric")
    }
    return [
        {"parent": graph.name(parent), "child": graph.name(child), "parent_and_child": graph.name(between)}
        for parent, each in children.items()
        for between in each
        for child in children[between]
        if len(children[between]) == 1 and child in each
    ]


def fct_root_models(graph: Graph) -> list[Finding]:
    """A model reads nothing that dbt knows of."""
    roots = [graph.name(key) for key in graph.of("model") if not graph.parents[key]]
    return [{"child": name} for name in roots if name != "metricflow_time_spine"]


def fct_source_fanout(graph: Graph) -> list[Finding]:
    """Several models read one source."""
    return [
        {"parent": graph.name(key), "model_children": ", ".join(sorted(map(graph.name, graph.models_from(key))))}
        for key in graph.of("source")
        if len(graph.models_from(key)) > 1
    ]


def fct_unused_sources(graph: Graph) -> list[Finding]:
    """Nothing reads a source."""
    return [{"parent": graph.name(key)} for key in graph.of("source") if not graph.children[key]]


def fct_too_many_joins(graph: Graph) -> list[Finding]:
    """A model reads too many others."""
    most = graph.variables["too_many_joins_threshold"]
    return [{"resource_name": graph.name(key)} for key in graph.of("model") if len(graph.parents[key]) >= most]


def fct_missing_primary_key_tests(graph: Graph) -> list[Finding]:
    """A model's grain isn't tested."""
    return [{"resource_name": graph.name(key)} for key in graph.of("model") if not _has_key_tests(graph, key)]


def _has_key_tests(graph: Graph, key: str) -> bool:
    """Whether a column, or the model, has all tests of a set; or a column that can't be null has a unique one."""
    macros: dict[str | None, list[str]] = defaultdict(list)
    for test in graph.tests[key]:
        macros[test.get("column_name")] += test["depends_on"]["macros"]
    for column, used in macros.items():
        for wanted in graph.variables["primary_key_test_macros"]:
            if {f"macro.{each}" for each in wanted} <= set(used):
                return True
        constraints = graph.nodes[key]["columns"].get(column, {}).get("constraints", [])
        if "macro.dbt.test_unique" in used and any(each["type"] == "not_null" for each in constraints):
            return True
    return False


def fct_sources_without_freshness(graph: Graph) -> list[Finding]:
    """Nothing says how old a source may be."""

    def limits(key: str) -> list[Any]:
        freshness = graph.nodes[key].get("freshness") or {}
        return [(freshness.get(each) or {}).get("count") for each in ("warn_after", "error_after")]

    return [{"resource_name": graph.name(key)} for key in graph.of("source") if not any(limits(key))]


def fct_test_coverage(graph: Graph) -> list[Finding]:
    """Too few models have a test. The package takes no exception here, but a lower target."""
    models = graph.of("model")
    percentage = 100 * sum(1 for key in models if graph.tests[key]) / len(models)
    return [{"test_coverage_pct": f"{percentage:.2f}"}] if percentage < graph.variables["test_coverage_target"] else []


def fct_model_directories(graph: Graph) -> list[Finding]:
    """A model lies in another layer's folder, or a staging model in none of its source's name."""
    strays = []
    for key in graph.of("model"):
        named, lies_in = graph.type_by_prefix(key), graph.type_by_folder(key)
        sources = [graph.nodes[each]["source_name"] for each in graph.parents_of(key, "source")]
        elsewhere = any(each not in graph.folder(key) for each in sources) if named == "staging" else False
        if elsewhere or (named and lies_in and named != lies_in):
            strays.append(key)
    return [
        {"resource_name": graph.name(key), "current_file_path": graph.nodes[key]["original_file_path"]}
        for key in strays
    ]


def fct_model_naming_conventions(graph: Graph) -> list[Finding]:
    """A model's prefix is none of a layer's."""
    return [{"resource_name": graph.name(key)} for key in graph.of("model") if not graph.type_by_prefix(key)]


def fct_source_directories(graph: Graph) -> list[Finding]:
    """A source isn't described in a folder of its name."""
    return [
        {"resource_name": graph.name(key), "current_file_path": graph.nodes[key]["original_file_path"]}
        for key in graph.of("source")
        if graph.nodes[key]["source_name"] not in graph.folder(key)
    ]


def fct_chained_views_dependencies(graph: Graph) -> list[Finding]:
    """A model at the end of so many views, each of which reads the one before."""
    found = []
    chains = [[key] for key in graph.of("model") if graph.is_view(key)]
    while chains:
        chain = chains.pop()
        for child in graph.models_from(chain[-1]):
            if len(chain) >= graph.variables["chained_views_threshold"]:
                found.append({"parent": graph.name(chain[0]), "child": graph.name(child), "distance": str(len(chain))})
            if graph.is_view(child):
                chains.append([*chain, child])
    return found


def _exposure_parents(graph: Graph, is_wrong: Callable[[str], bool]) -> list[Finding]:
    return [
        {
            "exposure_name": graph.name(exposure),
            "parent_resource_name": graph.name(parent),
            "parent_resource_type": graph.kind(parent),
        }
        for exposure in graph.of("exposure")
        for parent in graph.parents[exposure]
        if is_wrong(parent)
    ]


def fct_exposure_parents_materializations(graph: Graph) -> list[Finding]:
    """What people look at reads a source, or a view that is computed anew each time."""
    return _exposure_parents(graph, lambda key: graph.kind(key) == "source" or graph.is_view(key))


def fct_exposures_dependent_on_private_models(graph: Graph) -> list[Finding]:
    """What people look at reads what is not public."""
    return _exposure_parents(graph, lambda key: graph.nodes[key].get("access") != "public")


def fct_public_models_without_contract(graph: Graph) -> list[Finding]:
    """A public model's columns and types are not promised."""
    public = [key for key in graph.of("model") if graph.nodes[key]["access"] == "public"]
    return [{"resource_name": graph.name(key)} for key in public if not graph.nodes[key]["contract"]["enforced"]]


RULES = (
    fct_direct_join_to_source,
    fct_duplicate_sources,
    fct_model_fanout,
    fct_multiple_sources_joined,
    fct_rejoining_of_upstream_concepts,
    fct_root_models,
    fct_source_fanout,
    fct_unused_sources,
    fct_too_many_joins,
    fct_missing_primary_key_tests,
    fct_sources_without_freshness,
    fct_test_coverage,
    fct_model_directories,
    fct_model_naming_conventions,
    fct_source_directories,
    fct_chained_views_dependencies,
    fct_exposure_parents_materializations,
    fct_exposures_dependent_on_private_models,
    fct_public_models_without_contract,
)
