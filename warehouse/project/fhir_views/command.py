"""`make fhir-view`: a staging model of somebody's ViewDefinition, and its YAML."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from ingestion.contract.contracts import ContractError
from ingestion.contract.reading import read_contract
from ingestion.fhirpath.definitions import View, read_view
from ingestion.fhirpath.nodes import FhirPathError
from warehouse.errors import BuildError
from warehouse.project.fhir_views.describing import entry, with_model
from warehouse.project.fhir_views.staging import Model, staging_model

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_NOTHING = "nothing was written"


def fhir_view(root: Path, file: Path, name: str, source: str, say: Callable[[str], None]) -> None:
    """Write the staging model of a view, the view beside it, and its entry in the folder's YAML.

    Args:
        root: the project.
        file: the ViewDefinition, as JSON.
        name: what the model is called behind `stg_<source>__`; the view's own name unless given.
        source: whose resources they are.
        say: takes a line for whoever asked.

    Raises:
        BuildError: where the view can't be read or compiled; nothing is written then.
    """
    folder = Path("models/staging") / source
    try:
        text = file.read_text(encoding="utf-8")
        view = read_view(json.loads(text))
        called = name or snake_case(view.name)
        if not _NAME.fullmatch(called):
            raise FhirPathError(f"name: {called!r} is no name of a model: small letters, digits and _; say NAME=")
        model = staging_model(view, read_contract(source, root), f"stg_{source}__{called}")
    except OSError as error:
        raise BuildError(f"{file} can't be read ({error.strerror}); {_NOTHING}") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise BuildError(f"{file} is no JSON: {error}; {_NOTHING}") from error
    except (FhirPathError, ContractError) as error:
        raise BuildError(f"{file}: {error}; {_NOTHING}") from error
    if (root / folder / f"{model.name}.sql").exists() and not (root / folder / "views" / f"{called}.json").exists():
        raise BuildError(
            f"{folder}/{model.name}.sql is there and isn't made from a view: say another NAME=; {_NOTHING}"
        )
    for path in write(root / folder, called, text, view, model):
        say(f"wrote {path.relative_to(root)}")
    say(f"one row: {', '.join(model.key)}, and a version; {len(model.columns)} columns beside the log's")
    say(f"build it: make build SELECT={model.name}; then describe in its YAML who reads it")


def snake_case(name: str) -> str:
    """A view's name, such as PatientDemographics or patient_demographics, as a model's."""
    return re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()).strip("_")


def write(folder: Path, called: str, text: str, view: View, model: Model) -> list[Path]:
    """Write the view, its model and its entry. Returns the files."""
    views, models = folder / "views", folder / f"_{folder.name}__models.yml"
    views.mkdir(exist_ok=True)
    before = models.read_text(encoding="utf-8") if models.exists() else "version: 2\n\nmodels:\n"
    after = with_model(before, model.name, entry(model, view.description or f"One row for each {view.resource}."))
    texts = {views / f"{called}.json": text, folder / f"{model.name}.sql": model.text, models: after}
    for path, content in texts.items():
        path.write_text(content, encoding="utf-8")
    return list(texts)
