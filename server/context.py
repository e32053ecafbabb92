"""One tool call as an MCP client made it: progress back to the client, questions to the person behind it.

Older clients answer a question while the call waits. Since 2026-07-28 a call that has a question ends with it (`InputRequiredResult`)
and the client calls again with the answer, so the tool starts from its beginning and finds the answer where it asked. What was answered
in earlier rounds travels through the client in `requestState`, sealed by the SDK's `RequestStateBoundary` to this tool and these arguments.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import math
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import mcp_types as types
from mcp.server import ServerRequestContext
from mcp.server.elicitation import render_elicitation_schema
from mcp.shared.exceptions import MCPError
from mcp_types.version import is_version_at_least
from pydantic import ValidationError

from ..agents.calls import ModelT, ToolContext
from ..knowledge.errors import InputError

PROGRESS_INTERVAL_SECONDS = 0.03
"""At most one progress notification in this time; what is reported in between is overtaken by what comes last."""

_ROUND_TRIPS_SINCE = "2026-07-28"
_CONFIRMATION: dict[str, Any] = {"type": "object", "properties": {}}
"""The form of a yes or no: nothing to fill in, so a client shows the question and its own two buttons."""


class InputNeededError(BaseException):
    """A call cannot go on before the client has answered. Not an `Exception`: like a cancellation it must pass through the tool.

    :param requests: What to ask, by the key the answer will come under.
    :param state: What to remember until then; JSON-able.
    """

    def __init__(self, requests: Mapping[str, types.InputRequest], state: Mapping[str, Any]) -> None:
        super().__init__("the client has to answer first")
        self.result = types.InputRequiredResult(input_requests=dict(requests), request_state=json.dumps(state))


class MCPToolContext(ToolContext):
    """The client's side of one tool call.

    :param request: The call, as the SDK gives it.
    :param params: Its parameters, with the answers to what was asked in earlier rounds.
    """

    __slots__ = ("_answers", "_asked", "_progress", "params", "request")

    def __init__(self, request: ServerRequestContext[Any], params: types.CallToolRequestParams) -> None:
        super().__init__()
        self.request = request
        self.params = params
        self._progress = _Progress(request.session.report_progress)
        self._asked = 0
        self._answers: dict[str, Any] | None = None

    def progress(self, done: float, total: float | None = None, message: str | None = None) -> None:
        """Tell the client how far the work is, when it asked to know. Values must rise; others are left out."""
        self._progress.report(done, total, message)

    async def elicit(self, message: str, model: type[ModelT]) -> ModelT | None:
        """Ask the person behind the client to fill in `model`, which may hold text, numbers, yes-or-no and choices only.

        :returns: `None` when they declined or the client cannot ask.
        :raises InputError: the client sent something that does not fit.
        """
        answer = await self._ask(message, render_elicitation_schema(model))
        if answer is None or answer.action != "accept":
            return None
        try:
            return model.model_validate(answer.content or {})
        except ValidationError as error:
            fields = ", ".join(sorted({str(problem["loc"][0]) for problem in error.errors() if problem["loc"]}))
            raise InputError(
                f"The answer does not fit the question: {fields or 'its form'}.", "Answer it again."
            ) from None

    async def confirm(self, message: str) -> bool | None:
        """Ask the person behind the client for a yes; closing the question is a no."""
        answer = await self._ask(message, _CONFIRMATION)
        return None if answer is None else answer.action == "accept"

    async def finish(self) -> None:
        """Send the last progress that was reported; the call's result comes after it."""
        await self._progress.finish()

    def close(self) -> None:
        """Report nothing any more, whatever the tool's thread still says."""
        self._progress.close()

    async def _ask(self, message: str, schema: dict[str, Any]) -> types.ElicitResult | None:
        if not _can_ask(self.request):
            return None
        question = types.ElicitRequest(params=types.ElicitRequestFormParams(message=message, requested_schema=schema))
        if is_version_at_least(self.request.protocol_version, _ROUND_TRIPS_SINCE):
            return self._recall(question)
        try:
            with self.waiting():
                return await self.request.session.elicit_form(message, schema, self.request.request_id)
        except (MCPError, ValidationError):
            return types.ElicitResult(action="cancel")  # it said it could ask and then did not: that is not a yes

    def _recall(self, question: types.ElicitRequest) -> types.ElicitResult:
        """The answer to `question` from an earlier round.

        A question is known by its place in the call and by its wording, so no answer can stand for another question.

        :raises InputNeededError: it was not asked yet, or was not answered.
        """
        if self._answers is None:
            self._answers = self._from_earlier_rounds()
        self._asked += 1
        key = f"q{self._asked}-{hashlib.sha256(question.model_dump_json().encode()).hexdigest()[:16]}"
        answer = self._answers.get(key)
        if answer is None:
            raise InputNeededError({key: question}, {**self._answers, key: None})
        return types.ElicitResult.model_validate(answer)

    def _from_earlier_rounds(self) -> dict[str, Any]:
        """Key of each question asked so far → its answer as JSON-able data, or `None` where it is still open."""
        answers: dict[str, Any] = json.loads(self.params.request_state or "{}")
        for key, answer in (self.params.input_responses or {}).items():
            if key in answers and answers[key] is None and isinstance(answer, types.ElicitResult):
                answers[key] = answer.model_dump(mode="json", exclude_none=True)
        return answers


def _can_ask(request: ServerRequestContext[Any]) -> bool:
    """Whether the client can show a form; one that names no kind of question means forms."""
    capabilities = request.session.client_capabilities
    kinds = capabilities.elicitation if capabilities else None
    if kinds is None or (kinds.form is None and kinds.url is not None):
        return False
    return request.session.can_send_request or is_version_at_least(request.protocol_version, _ROUND_TRIPS_SINCE)


_Report = tuple[float, float | None, str | None]


class _Progress:
    """The reports of one call on their way to its client: from any thread, rising, never waiting, the last one always sent.

    :param send: Sends one report; does nothing when the client did not ask for progress.
    """

    __slots__ = ("_finished", "_highest", "_latest", "_lock", "_loop", "_send", "_task")

    def __init__(self, send: Callable[[float, float | None, str | None], Awaitable[None]]) -> None:
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._latest: _Report | None = None
        self._highest = -math.inf
        self._finished = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def report(self, done: float, total: float | None, message: str | None) -> None:
        with self._lock:
            if self._finished.is_set() or not done > self._highest:
                return
            self._highest = done
            waiting = self._latest is not None
            self._latest = (done, total, message)
        if not waiting:
            self._loop.call_soon_threadsafe(self._wake)

    def close(self) -> None:
        with self._lock:
            self._finished.set()
            self._latest = None

    async def finish(self) -> None:
        with self._lock:
            self._finished.set()
        if self._task is not None:
            await self._task
        await self._send_latest()

    def _wake(self) -> None:
        if self._task is None:
            self._task = self._loop.create_task(self._send_all())

    async def _send_all(self) -> None:
        while await self._send_latest():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._finished.wait(), PROGRESS_INTERVAL_SECONDS)
        self._task = None

    async def _send_latest(self) -> bool:
        with self._lock:
            report, self._latest = self._latest, None
        if report is None:
            return False
        await self._send(*report)
        return True
