"""Where the project lies: this one, or another that is built by the same means."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

PROJECT_ROOT = Path(__file__).resolve().parent.parent


def current_project() -> Path:
    """The folder of the project: what GRANARY_PROJECT_DIR names, else the one that this file is part of."""
    return (PROJECT_ROOT / os.environ.get("GRANARY_PROJECT_DIR", "")).resolve()


def parsed_yaml(text: str) -> Any:
    """What a YAML text of the project says; by libyaml where PyYAML has it, which takes a tenth of the time.

    Raises:
        yaml.YAMLError: it is no YAML.
    """
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
