"""Everything that can go wrong, in one tree.

    RactoError                  racto_error          base: a message, a stable code, and what to do next
    ├── InputError              invalid_input        the caller sent something that cannot be right
    │   └── UnknownNameError    unknown_name         a tool, prompt, document or setting that does not exist
    ├── ConflictError           conflict             the name is taken, or the thing changed meanwhile
    ├── AccessError             access_denied        outside the allowed roots, scope or mode
    ├── DeclinedError           declined             a person was asked and said no
    ├── QueryError              query_failed         a database refused a query or failed at it
    │   └── QueryRefusedError   query_refused        the guard let it not through; has its `rule`
    │       └── ReadOnlyViolationError  read_only    it would change something
    ├── LimitError              limit_reached        a time, size or count limit was hit
    │   ├── TimeLimitError      time_limit           it took longer than it may
    │   └── RateLimitExceededError  rate_limit       somebody has used up their share for now
    ├── ReadError               unreadable           a document cannot be read
    │   ├── EncryptedError      encrypted            it needs a password
    │   ├── NoTextError         no_text              it holds no text (a scan, an empty file)
    │   └── UnsupportedError    unsupported          no reader for this kind of file
    ├── StorageError            storage              the database cannot be used
    │   ├── CorruptError        corrupt              the file is damaged
    │   └── DiskFullError       disk_full            no space left
    ├── ConfigError             bad_config           a setting is wrong
    │   └── NoModelError        no_model             there is no model to ask
    └── RactoGatewayError       gateway              a call to a model failed; `transient` says whether trying again can help
        ├── RactoGatewayTimeoutError      model_timeout        no answer in time (transient)
        ├── ConnectionLostError           connection_lost      the line broke before an answer was whole (transient)
        ├── MalformedResponseError        malformed_response   the answer is not what the API promises (transient)
        ├── StreamInterruptedError        stream_interrupted   a stream broke after its first words; has the `partial` text
        ├── RactoGatewayAPIError          model_api            the provider refused or failed; transient by status
        │   ├── RactoGatewayAuthError     model_auth           the key is missing, wrong, or may not do this
        │   ├── ModelNotAvailableError    model_not_available  no such model there, or it cannot be loaded
        │   ├── RateLimitedError          rate_limited         too many calls; has `retry_after` (transient)
        │   ├── OverloadedError           overloaded           the provider has no room (transient)
        │   ├── ContextLengthError        context_length       the conversation is longer than the model reads
        │   └── UnsupportedParameterError unsupported_parameter  the model does not take a parameter; has its name
        ├── ResponseModelValidationError  response_model       the answer was never what `response_model` asks
        ├── BatchError                    batch                a batch job has not ended yet, or ended without its results
        ├── BudgetExceededError           budget_exceeded      the limit for the period is used up
        ├── UnknownPriceError             unknown_price        a budget is enforced and the price is not known
        └── CircuitOpenError              circuit_open         the provider failed too often lately (transient)

`str(error)` is one readable message with the hint, safe to show to any client: no traceback, no secret.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar


class RactoError(Exception):
    """The base of every error racto raises on purpose.

    :param message: What went wrong, in one sentence.
    :param hint: What the reader can do next; empty when there is nothing to do.
    """

    code: ClassVar[str] = "racto_error"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()

    def as_dict(self) -> dict[str, Any]:
        """The error as JSON-able data: `code`, `message` and `hint`."""
        return {"code": self.code, "message": self.message, "hint": self.hint}


class InputError(RactoError, ValueError):
    """The caller sent something that cannot be right."""

    code = "invalid_input"


class UnknownNameError(InputError, LookupError):
    """Something was named that does not exist."""

    code = "unknown_name"


class ConflictError(RactoError):
    """The name is taken, or the thing changed meanwhile."""

    code = "conflict"


class AccessError(RactoError, PermissionError):
    """Outside the allowed roots, scope or mode."""

    code = "access_denied"


class DeclinedError(RactoError):
    """A person was asked and said no."""

    code = "declined"


class LimitError(RactoError):
    """A time, size or count limit was hit."""

    code = "limit_reached"


class TimeLimitError(LimitError, TimeoutError):
    """It took longer than it may."""

    code = "time_limit"


class RateLimitExceededError(LimitError, RuntimeError):
    """Somebody has used up their share for now."""

    code = "rate_limit"


class QueryError(RactoError):
    """A database refused a query or failed at it; the message holds its own words."""

    code = "query_failed"


class QueryRefusedError(QueryError, ValueError):
    """The guard let a query not through.

    :param rule: Which rule it broke, in one word.
    """

    code = "query_refused"

    def __init__(self, message: str, hint: str = "", *, rule: str = "") -> None:
        super().__init__(message, hint)
        self.rule = rule

    def as_dict(self) -> dict[str, Any]:
        """The error as JSON-able data, with its rule."""
        return {**super().as_dict(), "rule": self.rule}


class ReadOnlyViolationError(QueryRefusedError):
    """A query that would change something."""

    code = "read_only"


class ReadError(RactoError):
    """A document cannot be read."""

    code = "unreadable"


class EncryptedError(ReadError):
    """The document needs a password."""

    code = "encrypted"


class NoTextError(ReadError):
    """The document holds no text."""

    code = "no_text"


class UnsupportedError(ReadError, ValueError):
    """There is no reader for this kind of file."""

    code = "unsupported"


class StorageError(RactoError):
    """The database cannot be used."""

    code = "storage"


class CorruptError(StorageError):
    """The database file is damaged."""

    code = "corrupt"


class DiskFullError(StorageError):
    """There is no space left for the database."""

    code = "disk_full"


class ConfigError(RactoError, ValueError):
    """A setting is wrong."""

    code = "bad_config"


class NoModelError(ConfigError, RuntimeError):
    """There is no model to ask."""

    code = "no_model"


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """The error for a name that does not exist, with the nearest one that does.

    :param kind: What was looked for, as a word a person uses: `tool`, `collection`.
    :param name: The name that was given.
    :param known: The names that exist; at most 12 are listed.
    """
    import difflib  # only a mistake needs these
    from textwrap import shorten

    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    if near:
        hint = f"Did you mean {near[0]!r}?"
    elif names:
        # A file may have a name of many lines.
        shown = [shorten(name, 100, placeholder="…") or "…" for name in names[:12]]
        hint = f"Known: {', '.join(shown)}{' …' if len(names) > 12 else ''}."
    else:
        hint = f"There is no {kind} yet."
    return UnknownNameError(f"There is no {kind} named {name!r}.", hint)


class RactoGatewayError(RactoError):
    """A call to a model failed.

    :param provider: Who was asked.
    :param model: Which model.
    :param request_id: The provider's own id of the call.
    """

    code = "gateway"
    transient: bool = False

    def __init__(
        self, message: str, hint: str = "", *, provider: str = "", model: str = "", request_id: str | None = None
    ) -> None:
        super().__init__(message, hint)
        self.provider = provider
        self.model = model
        self.request_id = request_id


class RactoGatewayTimeoutError(RactoGatewayError, TimeoutError):
    """The provider did not answer in time."""

    code = "model_timeout"
    transient = True


class ConnectionLostError(RactoGatewayError, ConnectionError):
    """The line broke, or was never there, before an answer was whole."""

    code = "connection_lost"
    transient = True


class MalformedResponseError(RactoGatewayError):
    """The answer is not what the API promises."""

    code = "malformed_response"
    transient = True


class StreamInterruptedError(RactoGatewayError):
    """A stream broke after its first words.

    :param partial: The text so far.
    """

    code = "stream_interrupted"

    def __init__(self, message: str, hint: str = "", *, partial: str = "", **about: Any) -> None:
        super().__init__(message, hint, **about)
        self.partial = partial


class RactoGatewayAPIError(RactoGatewayError):
    """The provider refused the call, or failed at it.

    :param status_code: HTTP status, when there was one.
    :param retry_after: Seconds the provider asks to wait, when it says so.
    """

    code = "model_api"

    def __init__(
        self,
        message: str,
        hint: str = "",
        *,
        status_code: int | None = None,
        retry_after: float | None = None,
        **about: Any,
    ) -> None:
        super().__init__(message, hint, **about)
        self.status_code = status_code
        self.retry_after = retry_after
        if status_code is not None and type(self) is RactoGatewayAPIError:
            # What the others mean does not hang on the status: some servers say with a 500 that a prompt is too long.
            self.transient = status_code in (408, 409, 425) or status_code >= 500


class RactoGatewayAuthError(RactoGatewayAPIError):
    """The key is missing, wrong, or may not do this."""

    code = "model_auth"


class ModelNotAvailableError(RactoGatewayAPIError):
    """There is no such model at this provider, or it cannot be loaded; the next one of a chain is tried."""

    code = "model_not_available"


class RateLimitedError(RactoGatewayAPIError):
    """Too many calls or tokens in a short time."""

    code = "rate_limited"
    transient = True


class OverloadedError(RactoGatewayAPIError):
    """The provider has no room at the moment."""

    code = "overloaded"
    transient = True


class ContextLengthError(RactoGatewayAPIError):
    """The conversation is longer than the model reads."""

    code = "context_length"


class UnsupportedParameterError(RactoGatewayAPIError):
    """The model does not take a parameter.

    :param parameter: Its name, as in `ChatConfig`.
    """

    code = "unsupported_parameter"

    def __init__(self, message: str, hint: str = "", *, parameter: str = "", **about: Any) -> None:
        super().__init__(message, hint, **about)
        self.parameter = parameter


class ResponseModelValidationError(RactoGatewayError):
    """The answer was never what `response_model` asks.

    :param attempts: How many calls were made, the first included.
    :param last_error: What was wrong with the last answer.
    :param raw_response: The text of the last answer.
    """

    code = "response_model"

    def __init__(
        self,
        message: str,
        hint: str = "",
        *,
        attempts: int,
        last_error: Exception,
        raw_response: str | None = None,
        **about: Any,
    ) -> None:
        super().__init__(message, hint, **about)
        self.attempts = attempts
        self.last_error = last_error
        self.raw_response = raw_response


class BatchError(RactoGatewayError, RuntimeError):
    """A batch job has not ended yet, or ended without its results."""

    code = "batch"


class BudgetExceededError(RactoGatewayError):
    """The limit for the period is used up."""

    code = "budget_exceeded"


class UnknownPriceError(RactoGatewayError):
    """A budget is enforced and the price of the model is not known; unknown is not zero."""

    code = "unknown_price"


class CircuitOpenError(RactoGatewayError):
    """The provider failed too often lately and is left alone for a while."""

    code = "circuit_open"
    transient = True
