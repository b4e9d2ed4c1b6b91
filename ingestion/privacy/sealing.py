"""What the crosswalk holds on Postgres, encrypted by column: the server gets neither the key nor a value in the clear.

A value is sealed here, in the process that loads, with AES-256 in GCM under a nonce of its own; its kind is
authenticated with it. So that equal values find their token, beside it stands what HMAC-SHA256 makes of kind and value
under another key. Both keys come from the one of `ingestion.keys`. What can be seen without it: how many values there
are of each kind, when each was seen first, and about how long it is.
"""

from __future__ import annotations

import base64
import hmac
import os
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from ingestion.environment import ConfigurationError
from ingestion.keys import BEFORE, KEY

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

# Of a nonce in GCM (NIST SP 800-38D, 8.2): one that is random may be used with a key some four billion times.
_NONCE_BYTES = 12
# Says how a value was sealed, for the day when it is done otherwise.
_MARK = "gcm1:"


class UnsealedError(Exception):
    """A value isn't sealed with this key."""


@dataclass(frozen=True)
class Seal:
    """Seals values with keys that are made from the one given."""

    key: str

    def _made(self, label: bytes) -> bytes:
        return hmac.digest(self.key.encode(), b"granary crosswalk " + label, "sha256")

    @cached_property
    def _lookup(self) -> bytes:
        return self._made(b"lookup")

    @cached_property
    def _cipher(self) -> AESGCM:
        try:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        except ImportError as error:
            raise RuntimeError("the package cryptography is not installed: run `make setup`") from error
        return AESGCM(self._made(b"value"))

    def hash(self, kind: str, value: str) -> str:
        """What a value is looked up by: hexadecimal, as Postgres reads bytes."""
        return "\\x" + hmac.digest(self._lookup, f"{kind}\0{value}".encode(), "sha256").hex()

    def sealed(self, kind: str, value: str) -> str:
        """A value, encrypted; each time another text."""
        nonce = os.urandom(_NONCE_BYTES)
        return _MARK + base64.b64encode(nonce + self._cipher.encrypt(nonce, value.encode(), kind.encode())).decode()

    def opened(self, kind: str, text: str) -> str:
        """The value that was sealed.

        Raises:
            UnsealedError: it was sealed with another key, or as another kind, or not at all.
        """
        from cryptography.exceptions import InvalidTag

        if not text.startswith(_MARK):
            raise UnsealedError
        content = base64.b64decode(text.removeprefix(_MARK))
        try:
            return self._cipher.decrypt(content[:_NONCE_BYTES], content[_NONCE_BYTES:], kind.encode()).decode()
        except InvalidTag:
            raise UnsealedError from None


def require_same(table: str, seal: Seal | None, first: tuple[str, str, str | None] | None) -> None:
    """See that what a table has was sealed as what comes will be: else one value would get two tokens.

    Args:
        table: its name.
        seal: how values are sealed; None where there is no key.
        first: the kind, the value and the hash of one of its rows; None where it has none.

    Raises:
        ConfigurationError: a key is missing, or it is another one.
    """
    if first is None:
        return
    kind, text, found = first
    if seal is None:
        if found is not None:
            raise ConfigurationError(
                f"{table} is encrypted, and {KEY} is not set: set the key that its values were encrypted with"
            )
        return
    if found is None:
        raise ConfigurationError(
            f"{table} has values in the clear, and {KEY} is set: `make rotate KEY=files` encrypts what there is"
        )
    try:
        seal.opened(kind, text)
    except UnsealedError:
        raise ConfigurationError(
            f"{table} is encrypted with another key than {KEY}: set the one that it was encrypted with, or, where keys "
            f"were changed, say `make rotate KEY=files` with the former one in {BEFORE}"
        ) from None
