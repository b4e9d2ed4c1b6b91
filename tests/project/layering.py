"""The rules of the layering, read off the files alone: no dbt, no database.

Each rule is a function of the project's root that returns its violations, one line each, as
`<path>: <what is wrong, and what to do>`. docs/conventions.md gives the reasons.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tests.project.files import code_of, entries, files_in, named

# Folders outside staging whose models may read source(), and why.
SOURCE_READERS = {
    "models/ops": "the audit tables that ingestion and the build write are raw of their own, with no entity to stage",
}

# Macro files outside macros/portable that may tell engines apart, and why.
ENGINE_AWARE: dict[str, str] = {}

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

LINES = {"staging": 60, "marts": 150}

_CONFIG = re.compile(r"\{\{\s*config\(.*?\)\s*\}\}\s*\n(?!\s*\")", re.DOTALL)
_IGNORES = re.compile(r"'ignores':\s*\[(.*?)\]", re.DOTALL)
_SOURCE = re.compile(r"\bsource\s*\(")
_SOURCE_NAME = re.compile(r"\bsource\s*\(\s*['\"](\w+)['\"]")
_REF = re.compile(r"\bref\s*\(\s*['\"](\w+)['\"](?:\s*,\s*['\"](\w+)['\"])?")
_ENGINE = re.compile(r"\b(?:target\s*\.\s*type|adapter\s*\.\s*type)\b|duckdb|postgres", re.IGNORECASE)
_ENGINE_TEST = re.compile(r"\b(?:target\s*\.\s*type|adapter\s*\.\s*type)\b|\b(?:duckdb|postgres)__\w", re.IGNORECASE)
_ARITHMETIC = re.compile(
    r"(?<!select)(?<!distinct)(?<=[\w)'\"\]]) +[*/] +[\w('\"{]|\b(?:avg|median|percentile_cont)\s*\((?!')",
    re.IGNORECASE,
)


def _layer(root: Path, path: Path) -> str:
    """The layer that a file under models/, snapshots/ or seeds/ belongs to: the name of its folder."""
    parts = path.relative_to(root).parts
    return parts[1] if parts[0] == "models" else parts[0]


def _readers(root: Path) -> Iterator[tuple[Path, str]]:
    """Every file that selects from other relations, with its code: models and snapshots, SQL and YAML."""
    for path in [*files_in(root, "models", ".sql"), *files_in(root, "snapshots", ".sql")]:
        yield path, code_of(path)
    for path in files_in(root, "snapshots", ".yml", ".yaml"):
        yield path, "\n".join(str(entry.get("relation", "")) for entry in entries(path, "snapshots"))


def sources_read_outside_staging(root: Path) -> list[str]:
    """Only staging reads source()."""
    allowed = ["models/staging", *SOURCE_READERS]
    return [
        f"{named(root, path)}: reads source(); read its staging model instead"
        for path, code in _readers(root)
        if _SOURCE.search(code) and not any(named(root, path).startswith(f"{folder}/") for folder in allowed)
    ]


def sources_of_others(root: Path) -> list[str]:
    """A staging model reads the source whose folder it lies in."""
    return [
        f"{named(root, path)}: reads the source {name}; its place is models/staging/{name}/"
        for path in files_in(root, "models/staging", ".sql")
        for name in _SOURCE_NAME.findall(code_of(path))
        if name != path.parent.name
    ]


def refs_against_the_flow(root: Path) -> list[str]:
    """No layer reads backwards or skips ahead."""
    home = {path.stem: _layer(root, path) for path in files_in(root, "models", ".sql")}
    home |= {path.stem: "seeds" for path in files_in(root, "seeds", ".csv")}
    for path in files_in(root, "snapshots", ".yml", ".yaml"):
        home |= {str(entry.get("name")): "snapshots" for entry in entries(path, "snapshots")}
    found = []
    for path, code in _readers(root):
        layer = _layer(root, path)
        for first, second in _REF.findall(code):
            name = second or first
            target = home.get(name) or next((kind for start, kind in PREFIXES.items() if name.startswith(start)), None)
            if target and layer in READS and target not in READS[layer]:
                may = ", ".join(sorted(READS[layer])) or "source() alone"
                found.append(f"{named(root, path)}: {layer} may read {may}, not {target} ({name})")
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
    for path in files_in(root, "models", ".sql"):
        layer = _layer(root, path)
        if layer not in names:
            found.append(f"{named(root, path)}: models/ has the folders {', '.join(names)} and no others")
        elif not re.fullmatch(names[layer], path.stem):
            found.append(f"{named(root, path)}: a model in {layer} is called {names[layer]}")
        elif layer == "staging" and not path.stem.startswith(f"stg_{path.parent.name}__"):
            found.append(f"{named(root, path)}: the model is not called after its source, stg_{path.parent.name}__…")
    return found


def engines_named(root: Path) -> list[str]:
    """SQL that differs by engine lives in macros/portable/ and nowhere else, comments included."""
    found = []
    for folder in ("models", "snapshots", "tests"):
        for path in files_in(root, folder, ".sql"):
            if match := _ENGINE.search(path.read_text(encoding="utf-8")):
                found.append(f"{named(root, path)}: names an engine ({match[0]}); write a macro in macros/portable/")
    for path in [p for folder in ("models", "snapshots", "seeds") for p in files_in(root, folder, ".yml", ".yaml")]:
        if match := _ENGINE_TEST.search(path.read_text(encoding="utf-8")):
            found.append(f"{named(root, path)}: asks for the engine ({match[0]}); write a macro in macros/portable/")
    for path in files_in(root, "macros", ".sql"):
        name = named(root, path)
        if name.startswith("macros/portable/") or name in ENGINE_AWARE:
            continue
        if match := _ENGINE_TEST.search(code_of(path)):
            found.append(f"{name}: tells engines apart ({match[0]}); move that part to macros/portable/")
    return found


def bare_arithmetic(root: Path) -> list[str]:
    """Products, quotients, averages and medians are made by macros: engines round them and run out of digits otherwise.

    What the warehouse tells of itself (models/ops) is no money, and is measured in floats.
    """
    found = []
    for path in [*files_in(root, "models/intermediate", ".sql"), *files_in(root, "models/marts", ".sql")]:
        if match := _ARITHMETIC.search(code_of(path)):
            found.append(
                f"{named(root, path)}: has '{match[0]}'; write product(), safe_divide() or median() of macros/portable/"
            )
    return found


def long_models(root: Path) -> list[str]:
    """A staging model fits in 60 lines, a mart in 150. What is made from a view beside it is read there."""
    found = []
    for layer, most in LINES.items():
        for path in files_in(root, f"models/{layer}", ".sql"):
            lines = len(path.read_text(encoding="utf-8").splitlines())
            is_made = (path.parent / "views" / f"{path.stem.partition('__')[2]}.json").exists()
            if lines > most and not is_made:
                found.append(f"{named(root, path)}: {lines} lines, at most {most}; it wants an intermediate model")
    return found


def undescribed_models(root: Path) -> list[str]:
    """Every model has a YAML entry with a description, in its own folder."""
    described = {
        (path.parent, str(entry.get("name")))
        for path in files_in(root, "models", ".yml", ".yaml")
        for entry in entries(path, "models")
        if str(entry.get("description") or "").strip()
    }
    return [
        f"{named(root, path)}: no YAML in its folder describes it"
        for path in files_in(root, "models", ".sql")
        if (path.parent, path.stem) not in described
    ]


def contracts_without_owner_or_freshness(root: Path) -> list[str]:
    """A contract says whom to ask about its source, and how fresh the source is to be."""
    found = []
    for path in files_in(root, "models/staging", ".yml", ".yaml"):
        for source in entries(path, "sources"):
            config = source.get("config") or {}
            if not (config.get("meta") or {}).get("owner"):
                found.append(f"{named(root, path)}: {source.get('name')} has no config.meta.owner")
            if "freshness" not in config:
                found.append(f"{named(root, path)}: {source.get('name')} has no config.freshness")
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
        f"{named(root, path)}: its final select takes *; list the columns"
        for path in files_in(root, "models/marts", ".sql")
        if any(
            re.search(r"(?:^|\.|^distinct\s)\s*\*", item.strip(), re.IGNORECASE)
            for columns in _final_selects(code_of(path))
            for item in columns.split(",")
        )
    ]


def ignored_columns_that_are_read(root: Path) -> list[str]:
    """An aggregate that follows a fact reads no column that it says it ignores: it would miss that column's changes."""
    found = []
    for path in files_in(root, "models", ".sql"):
        configured = _CONFIG.search(code_of(path))
        ignored = _IGNORES.search(configured[0]) if configured else None
        rest = _CONFIG.sub(" ", code_of(path))
        found += [
            f"{named(root, path)}: reads {column}, which it ignores in the fact that it follows"
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
    bare_arithmetic,
    long_models,
    undescribed_models,
    contracts_without_owner_or_freshness,
    starred_marts,
    ignored_columns_that_are_read,
)
