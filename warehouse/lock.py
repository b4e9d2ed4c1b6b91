"""One build at a time: a lock on the warehouse's folder that ends with the process that holds it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from ingestion.destination import Target
from warehouse.errors import BuildError


@contextmanager
def build_lock(target: Target) -> Iterator[None]:
    """Hold the warehouse's lock.

    Raises:
        BuildError: another build holds it.
    """
    try:
        target.folder.mkdir(parents=True, exist_ok=True)
        handle = (target.folder / f"{target.name}.lock").open("a+", encoding="utf-8")
    except OSError as error:
        raise BuildError(
            f"the folder {target.folder} can't be written ({error.strerror}): make it writable or set WAREHOUSE_DIR"
        ) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            handle.seek(0)
            holder = handle.read().strip() or "unknown"
            raise BuildError(
                f"another build of this warehouse is running (process {holder}): wait for it to end, then build again"
            ) from None
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        yield
    finally:
        handle.close()
