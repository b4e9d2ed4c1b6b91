"""What the API's routes share: the reader, limits, what is kept, and who tidies it up."""

from __future__ import annotations

import logging
import threading
import time

from api.accesses import Accesses
from api.kept import KeptAnswers
from api.project import Project, Said
from api.rate import Rate
from api.reading import Caller, Reader, digest
from api.settings import Settings
from api.spool import Spools

log = logging.getLogger("api")
TIDY_SECONDS = 0.5
FRESH_SECONDS = 1.0  # for which what is known of a key and of what is published is taken for true


class Service:
    """What the routes share."""

    def __init__(self, reader: Reader, project: Project, settings: Settings, accesses: Accesses, spools: Spools):
        self.reader, self.project, self.settings = reader, project, settings
        self.rate = Rate(settings.requests)
        self.accesses, self.spools = accesses, spools
        self.kept = KeptAnswers(settings.proxies)
        self.is_over = threading.Event()
        self._callers: dict[str, tuple[float, Caller]] = {}
        self._latest = 0

    @property
    def said(self) -> Said:
        """What the project says now."""
        return self.project.said

    def known(self, token: str) -> Caller | None:
        """Who sends this key, where that was asked within the last second."""
        known = self._callers.get(digest(token))
        return known[1] if known and known[0] > time.monotonic() else None

    def caller(self, token: str) -> Caller:
        """Who sends this key, and what is published, asked at most once a second. Raises RefusedError."""
        if (known := self.known(token)) is not None:
            return known
        caller = self.reader.caller(token)
        self._callers[digest(token)] = (time.monotonic() + FRESH_SECONDS, caller)
        self._latest = caller.generation
        return caller

    def forget(self, token: str) -> None:
        """Have who sends this key asked anew."""
        self._callers.pop(digest(token), None)

    def forget_callers(self) -> None:
        """Forget who asked longer ago."""
        now = time.monotonic()
        for key in [key for key, (until, _) in list(self._callers.items()) if until < now]:
            self._callers.pop(key, None)

    def keep_tidy(self) -> None:
        """Look after what is kept, until all is over."""
        while not self.is_over.wait(TIDY_SECONDS):
            for each in (self.reader.tidy, self.spools.tidy, self.accesses.write, self.kept.tidy, self.forget_callers):
                try:
                    each()
                except Exception:
                    log.exception("tidying failed")

    def keep_up(self) -> None:
        """Have the project read anew once a generation of another one is published, until all is over."""
        while not self.is_over.wait(TIDY_SECONDS):
            try:
                if self.project.look(self._latest):
                    self.kept.clear()
            except Exception:
                log.exception("reading the project failed")
