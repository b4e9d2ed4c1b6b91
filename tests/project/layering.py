"""The rules of the layering, read off the files alone: no dbt, no database.

Each rule is a function of the project's root that returns its violations, one line each, as
`<path>: <what is wrong, and what to do>`. docs/conventions.md gives the reasons.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

# Folders outside staging whose models may read source(), and why.
SOURCE_READERS = {
    "models/ops": "the audit tables that ingestion and the build write are raw of their own, with no entity to stage",
}

# Macro files outside macros/portable that may tell engines apart, and why.
ENGINE_AWARE: dict[str, str] = {}

# Keys in facts that point at no published dimension, as `<model>.<column>`, and why.
KEYS_WITHOUT_TARGET: dict[str, str] = {
    "fct_sales.sales_document_key": "an order, which is in fct_orders, or an invoice, which is in fct_sales alone",
    "agg_sales__documents.sales_document_key": "as in fct_sales, from which it comes",
}

# Intervals on which history_is_sound is not asked, by model, and why.
INTERVALS_TESTED_OTHERWISE: dict[str, str] = {
    "int_shop_customers__versions": "a view whose every row dim_customers shows: it is tested there",
    "int_shop_products__versions": "a view whose every row dim_products shows: it is tested there",
    "int_exchange_rates__intervals": "days on which a rate holds, equal ones side by side: a unit test says which",
}

# What each layer may ref(). Seeds are reference data, which every layer that joins may read.
READS: dict[str, set[str]] = {
    "staging": set(),
    "snapshots": {"staging"},
    "intermediate": {"staging", "snapshots", "intermediate", "seeds"},
    "marts": {"staging", "snapshots", "intermediate", "marts", "seeds"},
    "ops": {"staging", "snapshots", "intermediate", "marts", "ops", "seeds"},
}

PREFIXES = {
    "stg_": "staging",
    "snap_": "snapshots",
    "int_": "intermediate",
    "dim_": "marts",
    "fct_": "marts",
    "agg_": "marts",
}

# Where Python is.
PYTHON = ("ingestion", "warehouse", "orchestration", "infra", "reports", "bench", "tests")

LINES = {"staging": 60, "marts": 150}

_COMMENT = re.compile(r"\{#.*?#\}|/\*.*?\*/|--[^\n]*", re.DOTALL)
_CONFIG = re.compile(r"\{\{\s*config\(.*?\)\s*\}\}\s*\n(?!\s*\")", re.DOTALL)
_IGNORES = re.compile(r"'ignores':\s*\[(.*?)\]", re.DOTALL)
_SOURCE = re.compile(r"\bsource\s*\(")
_SOURCE_NAME = re.compile(r"\bsource\s*\(\s*['\"](\w+)['\"]")
_REF = re.compile(r"\bref\s*\(\s*['\"](\w+)['\"](?:\s*,\s*['\"](\w+)['\"])?")
_ENGINE = re.compile(r"\b(?:target\s*\.\s*type|adapter\s*\.\s*type)\b|duckdb|postgres", re.IGNORECASE)
_ENGINE_TEST = re.compile(r"\b(?:target\s*\.\s*type|adapter\s*\.\s*type)\b|\b(?:duckdb|postgres)__\w", re.IGNORECASE)


def _files(root: Path, folder: str, *suffixes: str) -> list[Path]:
    return sorted(path for path in (root / folder).rglob("*") if path.is_file() and path.suffix in suffixes)


def _named(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def _code(path: Path) -> str:
    """A SQL file's text without comments of either language."""
    return _COMMENT.sub(" ", path.read_text(encoding="utf-8"))


def _entries(path: Path, kind: str) -> list[dict[str, Any]]:
    """The resources of one kind (`models`, `snapshots`) that a YAML file lists."""
    document = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    return list(document.get(kind) or [])


def _layer(root: Path, path: Path) -> str:
    """The layer that a file under models/, snapshots/ or seeds/ belongs to: the name of its folder."""
    parts = path.relative_to(root).parts
    return parts[1] if parts[0] == "models" else parts[0]


def _readers(root: Path) -> Iterator[tuple[Path, str]]:
    """Every file that selects from other relations, with its code: models and snapshots, SQL and YAML."""
    for path in [*_files(root, "models", ".sql"), *_files(root, "snapshots", ".sql")]:
        yield path, _code(path)
    for path in _files(root, "snapshots", ".yml", ".yaml"):
        yield path, "\n".join(str(entry.get("relation", "")) for entry in _entries(path, "snapshots"))


def sources_read_outside_staging(root: Path) -> list[str]:
    """Only staging reads source()."""
    allowed = ["models/staging", *SOURCE_READERS]
    return [
        f"{_named(root, path)}: reads source(); read its staging model instead"
        for path, code in _readers(root)
        if _SOURCE.search(code) and not any(_named(root, path).startswith(f"{folder}/") for folder in allowed)
    ]


def sources_of_others(root: Path) -> list[str]:
    """A staging model reads the source whose folder it lies in."""
    return [
        f"{_named(root, path)}: reads the source {name}; its place is models/staging/{name}/"
        for path in _files(root, "models/staging", ".sql")
        for name in _SOURCE_NAME.findall(_code(path))
        if name != path.parent.name
    ]


def refs_against_the_flow(root: Path) -> list[str]:
    """No layer reads backwards or skips ahead."""
    home = {path.stem: _layer(root, path) for path in _files(root, "models", ".sql")}
    home |= {path.stem: "seeds" for path in _files(root, "seeds", ".csv")}
    for path in _files(root, "snapshots", ".yml", ".yaml"):
        home |= {str(entry.get("name")): "snapshots" for entry in _entries(path, "snapshots")}
    found = []
    for path, code in _readers(root):
        layer = _layer(root, path)
        for first, second in _REF.findall(code):
            name = second or first
            target = home.get(name) or next((kind for start, kind in PREFIXES.items() if name.startswith(start)), None)
            if target and layer in READS and target not in READS[layer]:
                may = ", ".join(sorted(READS[layer])) or "source() alone"
                found.append(f"{_named(root, path)}: {layer} may read {may}, not {target} ({name})")
    return found


def models_outside_the_layers(root: Path) -> list[str]:
    """Every model lies in a layer's folder, and is named as its layer says."""
    names = {
        "staging": r"stg_[a-z0-9]+(?:_[a-z0-9]+)*__[a-z0-9_]+",
        "intermediate": r"int_[a-z0-9_]+__[a-z0-9_]+",
        "marts": r"(?:dim|fct)_[a-z0-9_]+|agg_[a-z0-9_]+__[a-z0-9_]+",
        "ops": r"[a-z0-9_]+",
    }
    found = []
    for path in _files(root, "models", ".sql"):
        layer = _layer(root, path)
        if layer not in names:
            found.append(f"{_named(root, path)}: models/ has the folders {', '.join(names)} and no others")
        elif not re.fullmatch(names[layer], path.stem):
            found.append(f"{_named(root, path)}: a model in {layer} is called {names[layer]}")
        elif layer == "staging" and not path.stem.startswith(f"stg_{path.parent.name}__"):
            found.append(f"{_named(root, path)}: the model is not called after its source, stg_{path.parent.name}__…")
    return found


def engines_named(root: Path) -> list[str]:
    """SQL that differs by engine lives in macros/portable/ and nowhere else, comments included."""
    found = []
    for folder in ("models", "snapshots", "tests"):
        for path in _files(root, folder, ".sql"):
            if match := _ENGINE.search(path.read_text(encoding="utf-8")):
                found.append(f"{_named(root, path)}: names an engine ({match[0]}); write a macro in macros/portable/")
    for path in [p for folder in ("models", "snapshots", "seeds") for p in _files(root, folder, ".yml", ".yaml")]:
        if match := _ENGINE_TEST.search(path.read_text(encoding="utf-8")):
            found.append(f"{_named(root, path)}: asks for the engine ({match[0]}); write a macro in macros/portable/")
    for path in _files(root, "macros", ".sql"):
        name = _named(root, path)
        if name.startswith("macros/portable/") or name in ENGINE_AWARE:
            continue
        if match := _ENGINE_TEST.search(_code(path)):
            found.append(f"{name}: tells engines apart ({match[0]}); move that part to macros/portable/")
    return found


def long_models(root: Path) -> list[str]:
    """A staging model fits in 60 lines, a mart in 150."""
    found = []
    for layer, most in LINES.items():
        for path in _files(root, f"models/{layer}", ".sql"):
            lines = len(path.read_text(encoding="utf-8").splitlines())
            if lines > most:
                found.append(f"{_named(root, path)}: {lines} lines, at most {most}; it wants an intermediate model")
    return found


def undescribed_models(root: Path) -> list[str]:
    """Every model has a YAML entry with a description, in its own folder."""
    described = {
        (path.parent, str(entry.get("name")))
        for path in _files(root, "models", ".yml", ".yaml")
        for entry in _entries(path, "models")
        if str(entry.get("description") or "").strip()
    }
    return [
        f"{_named(root, path)}: no YAML in its folder describes it"
        for path in _files(root, "models", ".sql")
        if (path.parent, path.stem) not in described
    ]


def contracts_without_owner_or_freshness(root: Path) -> list[str]:
    """A contract says whom to ask about its source, and how fresh the source is to be."""
    found = []
    for path in _files(root, "models/staging", ".yml", ".yaml"):
        for source in _entries(path, "sources"):
            config = source.get("config") or {}
            if not (config.get("meta") or {}).get("owner"):
                found.append(f"{_named(root, path)}: {source.get('name')} has no config.meta.owner")
            if "freshness" not in config:
                found.append(f"{_named(root, path)}: {source.get('name')} has no config.freshness")
    return found


def _tests(entry: dict[str, Any]) -> set[str]:
    """The names of a model's or a column's data tests."""
    return {test if isinstance(test, str) else next(iter(test)) for test in entry.get("data_tests") or []}


def untested_foreign_keys(root: Path) -> list[str]:
    """Every foreign key of a fact or an aggregate has a `relationships` test; its own key has `unique` instead."""
    found = []
    for path in _files(root, "models/marts", ".yml", ".yaml"):
        for model in _entries(path, "models"):
            name = str(model.get("name"))
            if not name.startswith(("fct_", "agg_")):
                continue
            for column in model.get("columns") or []:
                key = str(column.get("name"))
                if not key.endswith("_key") or f"{name}.{key}" in KEYS_WITHOUT_TARGET:
                    continue
                if not _tests(column) & {"relationships", "unique"}:
                    found.append(f"{_named(root, path)}: {name}.{key} has no relationships test")
    return found


def untested_histories(root: Path) -> list[str]:
    """Every snapshot, and every model that has both ends of an interval, has a `history_is_sound` test."""
    histories = {path.stem: path for path in _files(root, "snapshots", ".sql")}
    tested = set(INTERVALS_TESTED_OTHERWISE)
    for kind in ("snapshots", "models"):
        for path in _files(root, kind, ".yml", ".yaml"):
            for entry in _entries(path, kind):
                columns = {str(column.get("name")) for column in entry.get("columns") or []}
                if kind == "snapshots" or columns >= {"valid_from", "valid_to"}:
                    histories[str(entry.get("name"))] = path
                if "history_is_sound" in _tests(entry):
                    tested.add(str(entry.get("name")))
    return [
        f"{_named(root, path)}: {name} has a history and no history_is_sound test"
        for name, path in sorted(histories.items())
        if name not in tested
    ]


def untested_version_keys(root: Path) -> list[str]:
    """Every version key of a fact or an aggregate has a `version_holds_at` test; a dimension's own has `unique`."""
    found = []
    for path in _files(root, "models/marts", ".yml", ".yaml"):
        for model in _entries(path, "models"):
            tests = [test for test in model.get("data_tests") or [] if isinstance(test, dict)]
            tested = {
                (test["version_holds_at"].get("arguments") or {}).get("version_key")
                for test in tests
                if "version_holds_at" in test
            }
            for column in model.get("columns") or []:
                key, name = str(column.get("name")), str(model.get("name"))
                if key.endswith("_version_key") and not name.startswith("dim_") and key not in tested:
                    found.append(f"{_named(root, path)}: {name}.{key} has no version_holds_at test")
    return found


def _final_selects(sql: str) -> Iterator[str]:
    """The select lists of a statement's outermost selects, of which a union has several."""
    sql = re.sub(r"\{%.*?%\}", " ", sql, flags=re.DOTALL)
    sql = re.sub(r"\{\{.*?\}\}", "jinja", sql, flags=re.DOTALL)
    sql = re.sub(r"'(?:[^']|'')*'", "''", sql)
    while True:  # take the innermost parentheses away until none are left
        flat = re.sub(r"\([^()]*\)", " nested ", sql)
        if flat == sql:
            break
        sql = flat
    for match in re.finditer(r"\bselect\b(.*?)(?=\bfrom\b|\bunion\b|\bselect\b|\Z)", sql, re.DOTALL | re.IGNORECASE):
        yield match[1]


def starred_marts(root: Path) -> list[str]:
    """A mart's final select lists every column."""
    return [
        f"{_named(root, path)}: its final select takes *; list the columns"
        for path in _files(root, "models/marts", ".sql")
        if any(
            re.search(r"(?:^|\.|^distinct\s)\s*\*", item.strip(), re.IGNORECASE)
            for columns in _final_selects(_code(path))
            for item in columns.split(",")
        )
    ]


def _imports(root: Path, path: Path) -> set[str]:
    """The modules that a Python file imports, by full name; `from a import b` may mean `a.b` and counts as both."""
    package = list(path.relative_to(root).with_suffix("").parts[:-1])
    modules = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            modules |= {module} | {f"{module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in {"import_module", "__import__"}:
            modules |= {str(arg.value) for arg in node.args if isinstance(arg, ast.Constant)}
    return modules


def _within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def imports_against_the_flow(root: Path) -> list[str]:
    """Python points one way: orchestration → warehouse → ingestion, sources apart, demo imported by nothing."""
    found = []
    sources = sorted(path.name for path in (root / "ingestion/sources").glob("*") if path.is_dir())
    for path in [path for folder in PYTHON for path in _files(root, folder, ".py")]:
        name = _named(root, path)
        forbidden = []
        if name.startswith("ingestion/"):
            forbidden += ["warehouse", "orchestration"]
        if name.startswith("warehouse/"):
            forbidden += ["orchestration"]
        if not name.startswith(("ingestion/demo/", "tests/")):
            forbidden += ["ingestion.demo"]
        for source in sources:
            if name.startswith(f"ingestion/sources/{source}/"):
                forbidden += [f"ingestion.sources.{other}" for other in sources if other != source]
        imported = _imports(root, path)
        found += [
            f"{name}: may not import {package}"
            for package in forbidden
            if any(_within(module, package) for module in imported)
        ]
    return found


def ignored_columns_that_are_read(root: Path) -> list[str]:
    """An aggregate that follows a fact reads no column that it says it ignores: it would miss that column's changes."""
    found = []
    for path in _files(root, "models", ".sql"):
        configured = _CONFIG.search(_code(path))
        ignored = _IGNORES.search(configured[0]) if configured else None
        rest = _CONFIG.sub(" ", _code(path))
        found += [
            f"{_named(root, path)}: reads {column}, which it ignores in the fact that it follows"
            for column in re.findall(r"\w+", ignored[1] if ignored else "")
            if re.search(rf"\b{column}\b", rest)
        ]
    return found


RULES = (
    sources_read_outside_staging,
    sources_of_others,
    refs_against_the_flow,
    models_outside_the_layers,
    engines_named,
    long_models,
    undescribed_models,
    contracts_without_owner_or_freshness,
    untested_foreign_keys,
    untested_histories,
    untested_version_keys,
    starred_marts,
    ignored_columns_that_are_read,
    imports_against_the_flow,
)
