"""The rules of who imports whom among the Python packages, read off the files alone.

Each rule is a function as those of `tests/project/layering.py` are.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.project.files import files_in, named

# Where Python is.
PYTHON = ("ingestion", "warehouse", "orchestration", "infra", "reports", "api", "bench", "tests")

# The groups of a package, from below to above: each may import those before it, and the modules at the package's root,
# which import no group. The package's command, `__main__`, is above all of them.
GROUPS = {
    "ingestion": ("destination", "contract", "privacy", "fhirpath", "load", "readers", "sources"),
    "warehouse": ("publish", "runs", "build", "reading", "people", "ops"),
}

# Groups that no other group imports, and that import none: of a command's own.
APART = {"ingestion": ("demo",), "warehouse": ("project",)}


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
    for path in [path for folder in PYTHON for path in files_in(root, folder, ".py")]:
        name = named(root, path)
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


def sources_named_by_readers(root: Path) -> list[str]:
    """A reader knows a kind of system: it neither imports the packages of sources nor names a source, in any text."""
    sources = sorted(path.name for path in (root / "ingestion/sources").glob("[a-z]*") if path.is_dir())
    any_source = re.compile(rf"(?<![a-z])(?:{'|'.join(sources)})(?![a-z])", re.IGNORECASE)
    found = []
    for path in files_in(root, "ingestion/readers", ".py"):
        if any(_within(module, "ingestion.sources") for module in _imports(root, path)):
            found.append(f"{named(root, path)}: may not import ingestion.sources; let the source's package declare it")
        if sources and (match := any_source.search(path.read_text(encoding="utf-8"))):
            found.append(f"{named(root, path)}: names the source {match[0]}; take the name from the reader's contract")
    return found


def groups_against_the_order(root: Path) -> list[str]:
    """Within a package imports point one way, from group to group. What is looked up by name at run time is free to."""
    return [line for package in GROUPS for line in _against_the_order(root, package)]


def _against_the_order(root: Path, package: str) -> Iterator[str]:
    groups = (*GROUPS[package], *APART[package])
    for path in files_in(root, package, ".py"):
        inner = path.relative_to(root / package).parts
        group = inner[0] if len(inner) > 1 else ""
        if group and group not in groups:
            yield f"{named(root, path)}: the group {group} has no place in GROUPS or APART of tests/project/imports.py"
        elif inner != ("__main__.py",):
            imported = {parts[1] for parts in map(_parts, _imports(root, path)) if parts[0] == package}
            for other in sorted(imported & set(groups) - {group}):
                if not _may_import(package, group, other):
                    yield f"{named(root, path)}: {group or 'a module at the root'} may not import {package}.{other}"


def _parts(module: str) -> list[str]:
    return [*module.split("."), ""]


def _may_import(package: str, group: str, other: str) -> bool:
    order = GROUPS[package]
    return group in order and other in order and order.index(other) < order.index(group)


RULES = (
    imports_against_the_flow,
    sources_named_by_readers,
    groups_against_the_order,
)
