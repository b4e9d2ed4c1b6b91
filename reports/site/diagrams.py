"""Entity diagrams: dbterd reads them off the relationships tests, Mermaid draws them, without a browser."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
from importlib.metadata import version
from pathlib import Path

import mermaidx
from dbterd.api import DbtErd

# Mermaid puts as much between two tables as a third would take.
_CLOSE = '%%{init: {"er": {"nodeSpacing": 24, "rankSpacing": 60}}}%%'
_EDGE = re.compile(r'^\s*"(\w+)"\s+(\S+)\s+"(\w+)":\s*(\S+)', re.MULTILINE)


def relationships(artifacts: Path, folder: Path) -> list[tuple[str, str, str]]:
    """Which table points at which, by which column, as dbterd finds it.

    Args:
        artifacts: a folder with dbt's manifest and catalog.
        folder: where to put what dbterd reads: a manifest without metrics, whose kinds it doesn't know all of.
    """
    manifest = json.loads((artifacts / "manifest.json").read_text(encoding="utf-8"))
    manifest |= {"metrics": {}, "semantic_models": {}, "saved_queries": {}, "exposures": {}}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    shutil.copyfile(artifacts / "catalog.json", folder / "catalog.json")
    logging.getLogger("dbterd").setLevel(logging.WARNING)
    text = DbtErd(
        target="mermaid",
        artifacts_dir=str(folder),
        omit_columns=True,
        entity_name_format="table",
        resource_type=["model"],
    ).get_erd()
    return [
        (source.lower(), target.lower(), label.split("--")[-1].lower())
        for source, _, target, label in _EDGE.findall(text)
    ]


def draw(edges: list[tuple[str, str, str]], kept: Path) -> str:
    """A diagram of these relationships as SVG; several columns between two tables are one line.

    Args:
        edges: as `relationships` gives them.
        kept: a folder of what was drawn before: to draw one takes seconds.
    """
    between: dict[tuple[str, str], list[str]] = {}
    for source, target, column in edges:
        between.setdefault((source, target), []).append(column)
    lines = [f'  {source} }}|--|| {target} : "{", ".join(columns)}"' for (source, target), columns in between.items()]
    text = "\n".join([_CLOSE, "erDiagram", "  direction LR", *lines])
    drawn = hashlib.sha256(f"{version('mermaidx')} {text}".encode()).hexdigest()
    file = kept / f"{drawn[:32]}.svg"
    if not file.exists():
        kept.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(f".{os.getpid()}")
        # Several on a page each have their own ids.
        svg = str(mermaidx.render(text).svg()).replace("my-svg", f"er-{drawn[:8]}")
        part.write_text(svg, encoding="utf-8")
        part.replace(file)
    return file.read_text(encoding="utf-8")
