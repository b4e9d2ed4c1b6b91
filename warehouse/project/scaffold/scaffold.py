"""`make preview` and `make scaffold`: what a database has, and the source that it becomes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from ingestion.contract.contracts import contract_file, read_contract
from ingestion.domains import listed
from ingestion.readers.settings import setting
from warehouse.errors import BuildError
from warehouse.project.new_domain import lay_out
from warehouse.project.scaffold.files import files_of
from warehouse.project.scaffold.proposal import Proposal, propose
from warehouse.project.scaffold.survey import COUNTED, survey

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


def preview(source: str, schemas: Sequence[str], tables: Sequence[str], say: Callable[[str], None]) -> Proposal:
    """Say what a scaffold would make of each table. Raises BuildError where the database can't be looked at."""
    found = survey(source, schemas, tables)
    proposal = propose(source, found)
    followed = {"auto": "change table or log, else "}.get(str(setting(source, "follow", "auto")), "")
    for table in proposal.tables:
        rows = f"{table.found.row_count:,}" if table.found.row_count <= COUNTED else f"over {COUNTED:,}"
        kind = "with history" if table.has_history else "events, without history"
        way = "polling" if table.modified_at else "comparing"
        say(f"{table.found.schema}.{table.found.name}: {rows} rows, {kind}, followed by {followed}{way}")
        say(f"  key: {', '.join(column.name for column in table.key)}")
        by_privacy: dict[str, list[str]] = {}
        for column in table.columns:
            by_privacy.setdefault(column.privacy, []).append(column.name)
        for privacy, columns in by_privacy.items():
            say(f"  {privacy}: {', '.join(columns)}")
    for reason in proposal.left_out:
        say(f"left out: {reason}")
    return proposal


def scaffold(
    project: Path, source: str, domain: str, schemas: Sequence[str], tables: Sequence[str], say: Callable[[str], None]
) -> None:
    """Write a source: its contract, staging, history, and its entry in the list; a domain, where there is none.

    Args:
        project: the project's folder.
        source: what to call it; its address is where its reader looks for it.
        domain: the domain that reads it.
        schemas: those to look at; the reader's own unless given.
        tables: those to take; all unless given.
        say: takes lines.

    Raises:
        BuildError: the name is taken or none, or the database can't be looked at; nothing was written.
    """
    if not _NAME.fullmatch(source):
        raise BuildError(f"'{source}' is no name for a source: it becomes a schema, in snake_case")
    if (project / contract_file(source)).exists():
        raise BuildError(f"there is a source {source} already: new columns are taken over with make take-column")
    proposal = propose(source, survey(source, schemas, tables))
    if not proposal.tables:
        raise BuildError(f"nothing of {source} can be followed: {'; '.join(proposal.left_out) or 'it has no tables'}")
    if domain not in [each.name for each in listed(project)]:
        lay_out(project, domain, lambda line: None)
        say(f"domain {domain}: laid out, and not published yet")
    texts, listing = files_of(source, "data platform", proposal.tables), _entered(project, domain, source)
    for path, text in texts.items():
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text(text, encoding="utf-8")
    (project / "dbt_project.yml").write_text(listing, encoding="utf-8")
    column_count = sum(len(table.columns) for table in proposal.tables)
    say(f"written: {len(texts)} files for {len(proposal.tables)} tables with {column_count} columns")
    for folder, count in sorted(Counter(path.parent for path in texts).items()):
        say(f"  {folder}: {count}")
    for reason in proposal.left_out:
        say(f"left out: {reason}")
    undecided = read_contract(source, project).undecided
    if undecided:
        say(f"to decide: what {len(undecided)} columns tell of a person. Until then nothing of {source} is loaded:")
        for name in undecided:
            say(f"  make decide COLUMN={name} PRIVACY=none")
    say(f"next: make build DOMAINS={domain}")


def _entered(project: Path, domain: str, source: str) -> str:
    """The text of dbt_project.yml with the source on the list, in its domain's entry."""
    text = (project / "dbt_project.yml").read_text(encoding="utf-8")
    words = {"name": source.replace("_", " ").capitalize(), "kind": "database", "description": f"The database {source}"}
    lines = [f"        {source}:", *(f"          {name}: {value}" for name, value in words.items())]
    entry = "\n".join(["      sources:", *lines, ""])
    pattern = re.compile(rf"(?P<head>^    {domain}:\n(?:^      .*\n)*?)^      sources:(?: \{{\}})?\n", re.MULTILINE)
    changed, found = pattern.subn(lambda match: match["head"] + entry, text, count=1)
    if not found:
        raise BuildError(f"the entry of {domain} in dbt_project.yml has no line `sources:`: add {source} there by hand")
    return changed
