"""The keys of what lies on disk: from the environment or `.dlt/secrets.toml`, never from a command line."""

from __future__ import annotations

import os
import re
import tomllib

from ingestion.environment import ConfigurationError
from ingestion.project import current_project

KEY, BEFORE, EXTRACT = "PRIVACY__FILES_KEY", "PRIVACY__FILES_KEY_BEFORE", "PRIVACY__EXTRACT_KEY"
# A key isn't stretched as a password is: what `openssl rand -base64 32` prints is long enough, a word is not. DuckDB
# takes a key as a text in SQL: of other characters it makes others, or shows the key in an error.
_KEY = re.compile(r"[A-Za-z0-9+/=_-]{32,}")


def files_key(variable: str = KEY) -> str:
    """The key that a variable holds, or `.dlt/secrets.toml` under the same name; nothing where neither does.

    Raises:
        ConfigurationError: it is no key, or the file can't be read.
    """
    key = os.environ.get(variable)
    if key is None:
        key = _stored(variable)
    if key and not _KEY.fullmatch(key):
        raise ConfigurationError(
            f"{variable} is no key: that has at least 32 letters, digits and characters of +/=_-; "
            "make one with `openssl rand -base64 32`"
        )
    return key


def _stored(variable: str) -> str:
    section, _, name = variable.lower().partition("__")
    file = current_project() / ".dlt" / "secrets.toml"
    try:
        with file.open("rb") as handle:
            return str(tomllib.load(handle).get(section, {}).get(name, ""))
    except FileNotFoundError:
        return ""
    except tomllib.TOMLDecodeError as error:
        # Its message would show what stands there.
        raise ConfigurationError(f"{file} is no TOML: mend it; {variable} is looked for in it") from error
