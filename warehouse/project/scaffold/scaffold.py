"""`make preview` and `make scaffold`: what a database has, and the source that it becomes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from ingestion.contract.contracts import contract_file
from ingestion.contract.reading import read_contract
from ingestion.domains import listed, variables
from ingestion.project import parsed_yaml
from ingestion.readers.settings import setting
from warehouse.errors import BuildError
from warehouse.project.new_domain import lay_out
from warehouse.project.scaffold.again import added
from warehouse.project.scaffold.files import files_of
from warehouse.project.scaffold.proposal import Proposal, propose
from warehouse.project.scaffold.star.choice import NO_STAR, Star, first_star
from warehouse.project.scaffold.star.files import catalogue, star_files
from warehouse.project.scaffold.survey import COUNTED, survey

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


def preview(source: str, schemas: Sequence[str], tables: Sequence[str], say: Callable[[str], None]) -> Proposal:
    """Say what a scaffold would make of each table. Raises BuildError where the database can't be looked at."""
    found = survey(source, schemas, tables)
    proposal = propose(found, tables)
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
    for line in proposal.remarks:
        say(line)
    if star := first_star(source, proposal.tables, "", ()):
        _say_star(star, source, say)
    return proposal


def scaffold(
    project: Path, source: str, domain: str, schemas: Sequence[str], tables: Sequence[str], say: Callable[[str], None],
    *, fact: str = "", dry: bool = False,
) -> None:  # fmt: skip
    """Write a source: contract, staging, history, a first star, its entry in the list; a domain, where there is none.

    Where the source has a contract, what is new at the source is added to it, and what differs is said: nothing that
    somebody wrote is changed.

    Args:
        project: the project's folder.
        source: what to call it; its address is where its reader looks for it.
        domain: the domain that reads it; empty for the one that does already, or one of the source's name.
        schemas: those to look at; the reader's own unless given.
        tables: those to take; all unless given.
        say: takes lines.
        fact: what the first star's events are, see `first_star`.
        dry: only say what would be written.

    Raises:
        BuildError: the name is taken or none, or the database can't be looked at; nothing was written.
    """
    if not source:
        raise BuildError("say what to call the source: SOURCE=<name>, such as make scaffold SOURCE=erp")
    if not _NAME.fullmatch(source):
        raise BuildError(f"'{source}' is no name for a source: it becomes a schema, in snake_case")
    readers = [each.name for each in listed(project) if source in each.sources]
    domain = domain or next(iter(readers), source)
    is_new = not (project / contract_file(source)).exists()
    if not is_new:
        texts, tables_taken = added(project, source, schemas, tables, say)
        star = first_star(source, tables_taken, fact or NO_STAR, _models(project))
    else:
        proposal = propose(survey(source, schemas, tables), tables)
        tables_taken = proposal.tables
        if not tables_taken:
            reasons = "; ".join(proposal.left_out) or "it has no tables"
            raise BuildError(f"nothing of {source} can be followed: {reasons}")
        star = first_star(source, tables_taken, fact, _models(project))
        # A source of whole schemas gets their new tables, too.
        whole = [] if tables else sorted({table.found.schema for table in tables_taken})
        texts = files_of(source, _owner(project, domain), tables_taken, whole)
        for line in proposal.remarks:
            say(line)
    if star:
        of_star = star_files(source, domain, star, _owner(project, domain), _words(project))
        texts |= {path: text for path, text in of_star.items() if not (project / path).exists()}
        rules = Path("tests/data", domain, "README.md")
        before = (project / rules).read_text(encoding="utf-8") if (project / rules).exists() else ""
        if catalogue(domain, star, before) != before:
            texts[rules] = catalogue(domain, star, before)
        _say_star(star, domain, say)
        for path in of_star:
            if (project / path).exists():
                say(f"kept as it is: {path}")
    if not texts:
        return
    _say_files(texts, say)
    if dry:
        say("nothing was written (DRY)")
        return
    if is_new:
        has = variables(project)
        say(
            f"days are those of {has.get('business_timezone')}, amounts are reported in "
            f"{has.get('reporting_currency')}: vars in dbt_project.yml say so for all"
        )
        # The list comes last: a source that is on it is whole.
        texts[Path("dbt_project.yml")] = _listing(project, domain, source, star, say)
    for path, text in texts.items():
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text(text, encoding="utf-8")
    read_contract.cache_clear()
    undecided = read_contract(source, project).undecided
    if undecided:
        many = f"{len(undecided)} columns tell" if undecided[1:] else "1 column tells"
        say(f"to decide: what {many} of a person. Until then nothing of {source} is loaded:")
        for name in undecided:
            say(f"  make decide COLUMN={name} PRIVACY=none")
        say(f"  or all at once: make decide COLUMN='{source}.*' PRIVACY=none")
    say("next: make build")


def _listing(project: Path, domain: str, source: str, star: Star | None, say: Callable[[str], None]) -> str:
    """The text of dbt_project.yml with the source on the list; where there is no such domain, it is laid out."""
    if domain not in [each.name for each in listed(project)]:
        days = f"{domain}.{star.daily} order by {star.event_date} desc" if star else ""
        example = f"select * from {days} limit 7" if days else ""
        lay_out(project, domain, lambda line: None, published=True, example=example)
        say(f"domain {domain}: laid out")
    return _entered(project, domain, source)


def _owner(project: Path, domain: str) -> str:
    return next((each.owner for each in listed(project) if each.name == domain), "data platform")


def _say_files(texts: dict[Path, str], say: Callable[[str], None]) -> None:
    say(f"files: {len(texts)}")
    for folder, count in sorted(Counter(path.parent for path in texts).items()):
        say(f"  {folder}: {count}")


def _say_star(star: Star, domain: str, say: Callable[[str], None]) -> None:
    whose = f" of {star.parent.name}" if star.parent else ""
    measures = [column.alias for column in star.measures]
    say(f"first star: {domain}.{star.fact}, one row for each of {star.lines.name}{whose}, by {star.event.alias}")
    say(f"  dimensions: {', '.join(f'{role.name} ({role.dimension.name})' for role in star.roles) or 'none'}")
    say(f"  adds up: {', '.join(measures) or 'nothing, it is counted'}")


def _models(project: Path) -> set[str]:
    """The names that models and seeds have."""
    return {path.stem for folder in ("models", "seeds") for path in (project / folder).rglob("*.*")}


def _words(project: Path) -> set[str]:
    """The names that the semantic layer has: metrics, saved queries, entities."""
    files = [parsed_yaml(path.read_text(encoding="utf-8")) or {} for path in (project / "models").rglob("*.yml")]
    models = [model for file in files for model in file.get("models") or ()]
    named = [each for file in files for kind in ("metrics", "saved_queries") for each in file.get(kind) or ()]
    named += [metric for model in models for metric in model.get("metrics") or ()]
    entities = [column.get("entity") for model in models for column in model.get("columns") or ()]
    return {each["name"] for each in [*named, *filter(None, entities)]}


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
