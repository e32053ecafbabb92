"""The record of every call, handed to whoever keeps it."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from ...knowledge.errors import RactoError
from ..asking import called
from .answers import AuditEntry, ClassifierResult

log = logging.getLogger(__name__)


class Audit:
    """Hands over an entry after each call.

    :param logger: Anything with `log(entry)`, or a function of an entry, blocking or not; `None` for nobody.
    :param safe: Whether an error stays in the result instead of being raised.
    """

    def __init__(self, logger: Any, *, safe: bool) -> None:
        self._logger = logger
        self._safe = safe

    @asynccontextmanager
    async def call(self, result: ClassifierResult, user: str | None, session_id: str | None) -> AsyncIterator[None]:
        """Around what fills `result`."""
        came, begun = datetime.now(UTC), time.perf_counter()
        try:
            yield
        except Exception as error:
            result.error = str(error) if isinstance(error, RactoError) else f"{type(error).__name__}: {error}"
            result.selected, result.confidences, result.confidence_kind = [], None, None
            if not self._safe:
                raise
        finally:
            entry = result.to_audit_entry(
                timestamp=came.isoformat(timespec="microseconds").replace("+00:00", "Z"),
                user_id=user,
                session_id=session_id,
                latency_ms=(time.perf_counter() - begun) * 1000,
            )
            await self._log(entry)

    async def _log(self, entry: AuditEntry) -> None:
        if self._logger is None:
            return
        try:
            if hasattr(self._logger, "log") or hasattr(self._logger, "alog"):
                await called(self._logger, "log", entry)
            else:
                given = await asyncio.to_thread(self._logger, entry)
                if inspect.isawaitable(given):
                    await given
        except Exception:  # somebody else's code, and the answer is there
            log.exception("A call was not written to the audit log")
