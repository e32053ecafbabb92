"""Put texts under labels of a list: `ListClassifierPipeline` and its asynchronous twin."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from enum import Enum
from functools import partial
from types import EllipsisType
from typing import TYPE_CHECKING, Any, Literal, Self, TypedDict, TypeVar, Unpack, get_args

from ...agents.telemetry import Recorder, Telemetry
from ...knowledge.edge import blocking
from ...knowledge.errors import InputError, RactoError, unknown_name
from ...knowledge.prompts import RactoPrompt
from ..asking import NOBODY, Memory, Share
from .answers import ClassifierRateLimitExceededError, ClassifierResult, enum_of
from .auditing import Audit
from .batching import in_order
from .keeping import Kept
from .options import OptionList, Options, checked
from .prompts import ConfidenceSource, Form, SelectionMode
from .running import LocalModel, Plan, Run
from .shortlist import Embed, Shortlists

if TYPE_CHECKING:
    from ...agents.caches import ExactMatchCache
    from ...agents.semantic_cache import SemanticCache

log = logging.getLogger(__name__)

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

OutputFormat = Literal["pydantic", "string", "dict"]
Answer = ClassifierResult | str | dict[str, Any]

LONGEST_TEXT = 200_000
"""Characters."""
CONCURRENCY = 8
"""Texts of a batch that are classified at the same time, unless the caller says otherwise."""

_KITS = {
    "openai": "OpenAIDeveloperKit",
    "anthropic": "AnthropicDeveloperKit",
    "google": "GoogleDeveloperKit",
    "ollama": "OllamaDeveloperKit",
    "huggingface": "HuggingFaceDeveloperKit",
}


class Overrides(TypedDict, total=False):
    """What one call may have otherwise than its pipeline; see `ListClassifierPipeline.arun`."""

    options: Sequence[str] | EllipsisType | None
    selection_mode: SelectionMode | None
    output_format: OutputFormat | None
    temperature: float | None
    max_tokens: int | None
    confidence_threshold: float | EllipsisType | None
    session_id: str | None
    user_id: str | None


def _shows_those_of(owner: Callable[..., Any]) -> Callable[[F], F]:
    """Makes a method whose `**overrides` are the keywords of `owner` say so: `help` and editors show each."""
    keywords = [each for each in inspect.signature(owner).parameters.values() if each.kind is each.KEYWORD_ONLY]

    def show(method: F) -> F:
        signature = inspect.signature(method)
        own = [each for each in signature.parameters.values() if each.kind is not each.VAR_KEYWORD]
        method.__signature__ = signature.replace(parameters=[*own, *keywords])  # type: ignore[attr-defined]  # `inspect` reads it
        return method

    return show


class ListClassifierPipeline:
    """A text in, and labels of a list out: never one that is not on it, whatever the model answers.

    Safe between threads and tasks. The options may be edited while texts are classified; each text has the list it began with.

    :param kit: Anything with `achat(ChatConfig)` or `chat(ChatConfig)`.
    :param options: The labels; a call may bring others.
    :param selection_mode: `single` chooses one label, `multiple` one or more.
    :param output_format: `pydantic` gives a `ClassifierResult`, `string` the labels joined by commas, `dict` that of `as_dict`.
    :param prompt: System prompt instead of ours; the list and the form of the answer stay.
    :param max_retries: How often the model is asked again when its answer names no label, each time told the nearest ones. After that the answer is uncertain.
    :param score_all: Ask for a score of every label.
    :param option_descriptions: Label → what it means; shown to the model.
    :param fuzzy_fallback: Take a misspelt label for the one it can only mean.
    :param uncertain_label: One more label, for texts that fit no other; also what is chosen when no answer could be read.
    :param confidence_threshold: Labels of a lower confidence are dropped; the surest stays.
    :param case_sensitive: Whether capitals in an answer must be those of the label.
    :param safe_mode: Put errors into `ClassifierResult.error`.
    :param exact_cache: Answers a text that was asked before of the same list, model and settings.
    :param semantic_cache: The same for texts that mean the same.
    :param audit_logger: Is called with, or has a `log` that takes, the `AuditEntry` of every call. Where it fails, the log of the program says so, and the answer stands.
    :param tracer: A `RactoTracer`, told of every call.
    :param metrics: A `GatewayMetricsMiddleware`, likewise.
    :param rate_limiter: Has `check_and_consume(user_id, tokens)` and `get_remaining(user_id)`, blocking or not.
    :param memory: Has `get_history(session_id)` and `append(session_id, role, content)`, blocking or not.
    :param user_id: Whose share a call uses that names nobody.
    :param option_examples: Label → texts that belong under it; the model is shown a few.
    :param shortlist_size: Of a longer list the model is shown so many labels, found by their descriptions, examples or embeddings; a list that has
        none of these is always shown whole, and `None` shows every list whole.
    :param embed: Text → vector; finds labels by meaning too.
    :param confidence_from: `log-probabilities` of the tokens that name the label, where the provider tells them; `agreement` of several answers;
        or `model-stated`. `ClassifierResult.confidence_kind` says which it was.
    :param samples: How many answers `agreement` asks for.
    :param local: Asked before the model; only what it is not sure of goes to the model.
    :raises InputError: a label cannot be one, or a setting is none there is.
    """

    # As long as the signature the specification gives it.
    def __init__(
        self,
        kit: Any,
        *,
        options: Sequence[str] | None = None,
        selection_mode: SelectionMode = "single",
        output_format: OutputFormat = "pydantic",
        prompt: RactoPrompt | None = None,
        temperature: float | None = 0.0,
        max_tokens: int = 512,
        max_retries: int = 2,
        include_confidence: bool = True,
        include_reasoning: bool = False,
        score_all: bool = False,
        option_descriptions: Mapping[str, str] | None = None,
        fuzzy_fallback: bool = True,
        uncertain_label: str | None = None,
        confidence_threshold: float | None = None,
        case_sensitive: bool = False,
        safe_mode: bool = False,
        exact_cache: ExactMatchCache | None = None,
        semantic_cache: SemanticCache | None = None,
        audit_logger: Any = None,
        tracer: Recorder | None = None,
        metrics: Recorder | None = None,
        rate_limiter: Any = None,
        memory: Any = None,
        user_id: str | None = None,
        option_examples: Mapping[str, Sequence[str]] | None = None,
        shortlist_size: int | None = 50,
        embed: Embed | None = None,
        confidence_from: ConfidenceSource = "model-stated",
        samples: int = 5,
        local: LocalModel | None = None,
    ) -> None:
        _choice("confidence_from", confidence_from, ConfidenceSource)
        self._format = _choice("output_format", output_format, OutputFormat)
        self._options = OptionList(
            options,
            option_descriptions,
            option_examples,
            uncertain_label=uncertain_label,
            case_sensitive=case_sensitive,
        )
        self._plan = Plan(
            kit=kit,
            form=Form(_choice("selection_mode", selection_mode, SelectionMode), include_confidence, include_reasoning, score_all),
            prompt=prompt,
            temperature=temperature,
            max_tokens=max_tokens,
            retries=max(max_retries, 0),
            fuzzy=fuzzy_fallback,
            threshold=confidence_threshold,
            confidence_from=confidence_from,
            samples=max(samples, 1),
            local=local,
        )  # fmt: skip
        self._kept = Kept(exact_cache, semantic_cache)
        self._audit = Audit(audit_logger, safe=safe_mode)
        self._telemetry = Telemetry(*(recorder for recorder in (tracer, metrics) if recorder is not None))
        self._limiter = rate_limiter
        self._memory = memory
        self._user = user_id
        self._shortlists = Shortlists(shortlist_size, embed)
        self._refused: set[str] = set()

    @classmethod
    def from_provider(
        cls,
        provider: str,
        model: str,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        options: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> Self:
        """A pipeline that asks a model of a provider.

        :param provider: `openai`, `anthropic`, `google`, `ollama` or `huggingface`.
        :param api_key: By default that of the environment; Ollama has none.
        :param base_url: Another server of the same API.
        :param kwargs: As of the constructor.
        :raises UnknownNameError: there is no such provider.
        """
        from ...agents import kits

        if provider not in _KITS:
            raise unknown_name("provider", provider, _KITS)
        key = {} if provider == "ollama" else {"api_key": api_key}
        kit = getattr(kits, _KITS[provider])(model=model, base_url=base_url, **key)
        return cls(kit, options=options, **kwargs)

    @staticmethod
    def make_enum(options: Sequence[str], name: str = "OptionsEnum") -> type[Enum]:
        """Labels as an enum: see `enum_of`.

        :raises InputError: a label cannot be one.
        """
        return enum_of(checked(options), name)

    @property
    def kit(self) -> Any:
        """Who is asked."""
        return self._plan.kit

    def get_options(self) -> list[str] | None:
        """The labels of the pipeline, without the uncertain label; `None` when it has none."""
        return self._options.labels()

    def set_options(self, options: Sequence[str]) -> None:
        """Replace the labels.

        :raises InputError: a label cannot be one.
        """
        self._options.replace(options)

    def add_option(self, option: str, description: str | None = None) -> None:
        """One more label, at the end.

        :raises InputError: it is there already, or cannot be a label.
        """
        self._options.add(option, description)

    def remove_option(self, option: str) -> None:
        """One label less.

        :raises UnknownNameError: it is not there.
        :raises InputError: it is the last one.
        """
        self._options.remove(option)

    async def arun(
        self,
        user_query: str,
        *,
        options: Sequence[str] | EllipsisType | None = ...,
        selection_mode: SelectionMode | None = None,
        output_format: OutputFormat | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        confidence_threshold: float | EllipsisType | None = ...,
        session_id: str | None = None,
        user_id: str | None = None,
    ) -> Answer:
        """Classify one text. What is not given is as the pipeline has it.

        :param confidence_threshold: `None` drops nothing, whatever the pipeline has.
        :raises InputError: there is no text, or nothing to choose from (it is a `ValueError`).
        :raises ClassifierRateLimitExceededError: the user's share is used up.
        :raises RactoGatewayError: the model could not be asked.
        """
        plan = self._plan
        if selection_mode is not None:
            mode = _choice("selection_mode", selection_mode, SelectionMode)
            plan = replace(plan, form=replace(plan.form, mode=mode))
        plan = replace(
            plan,
            temperature=plan.temperature if temperature is None else temperature,
            max_tokens=max_tokens or plan.max_tokens,
            threshold=plan.threshold if isinstance(confidence_threshold, EllipsisType) else confidence_threshold,
        )
        form = self._format if output_format is None else _choice("output_format", output_format, OutputFormat)
        result = ClassifierResult(user_query=user_query, options_provided=[])
        user = user_id or self._user
        async with self._audit.call(result, user, session_id):
            chosen = self._chosen(None if isinstance(options, EllipsisType) else options)
            result.options_provided = list(chosen.labels)
            await self._classify(plan, chosen, result, user or NOBODY, session_id)
        if form == "pydantic":
            return result
        return result.as_string() if form == "string" else result.as_dict()

    @_shows_those_of(arun)
    async def abatch_run(
        self,
        queries: Sequence[str],
        *,
        max_concurrency: int | None = None,
        progress: Callable[[int, int], object] | None = None,
        **overrides: Unpack[Overrides],
    ) -> list[Answer]:
        """Classify several texts at the same time; the answers have the order of the texts.

        :param max_concurrency: How many at most; `None` for `CONCURRENCY`.
        :param progress: Told after each text how many are done, and how many there are.
        :param overrides: As of `arun`, for every text.
        :raises InputError: `max_concurrency` is less than 1, or as `arun`. The first error ends the batch; in safe mode there is none.
        """
        most = CONCURRENCY if max_concurrency is None else max_concurrency
        if most < 1:
            raise InputError(f"max_concurrency={most}?", "Give 1 or more, or None.")
        return await in_order(queries, partial(self.arun, **overrides), most, progress)

    @_shows_those_of(arun)
    async def _one_by_one(self, queries: Sequence[str], **overrides: Unpack[Overrides]) -> list[Answer]:
        """Classify several texts, one after the other; as `abatch_run` with a `max_concurrency` of 1."""
        return await self.abatch_run(queries, max_concurrency=1, **overrides)

    run = blocking(arun)
    batch_run = blocking(_one_by_one)

    async def shortlist_recall(self, labelled: Sequence[tuple[str, str]]) -> float:
        """In how many of some texts with their labels the model is shown the label, 0 to 1.

        :raises InputError: there are no texts, or no options.
        """
        return await self._shortlists.recall(self._chosen(None), labelled)

    async def _classify(
        self, plan: Plan, options: Options, result: ClassifierResult, user: str, session_id: str | None
    ) -> None:
        """Fill the result, from a cache or by a run."""
        text, memory = result.user_query, Memory(self._memory, session_id)
        _check_text(text)
        history = await memory.turns()
        scope = self._kept.scope(plan, options, self._shortlists.size, history)
        async with self._kept.alone(scope, text):
            kept = await self._kept.find(scope, text, options)
            if kept is not None:
                _copy(kept, result)
            else:
                result.shortlist = await self._shortlists.shown(options, text)
                shown = options if result.shortlist is None else options.only(result.shortlist)
                share = Share(self._limiter, user, ClassifierRateLimitExceededError)
                run = Run(plan, options, shown, history, share, self._telemetry, self._refused, result)
                await run.all()
                if run.complete:
                    await self._kept.keep(scope, text, result)
        try:
            await memory.keep(text, result.as_string() or "(none of the labels)")
        except RactoError as error:
            log.warning("The conversation was not remembered: %s", error)

    def _chosen(self, options: Sequence[str] | None) -> Options:
        """The list of a call.

        :raises InputError: there is none.
        """
        chosen = self._options.prepared() if options is None else self._options.of(options)
        if chosen is None:
            raise InputError("There are no options to choose from.", "Give options=, to the pipeline or to the call.")
        return chosen


class AsyncListClassifierPipeline(ListClassifierPipeline):
    """`ListClassifierPipeline` whose `run` is a coroutine."""

    @_shows_those_of(ListClassifierPipeline.arun)
    async def run(self, user_query: str, **overrides: Unpack[Overrides]) -> Answer:  # type: ignore[override] # the specification's
        """As `arun`."""
        return await self.arun(user_query, **overrides)


def _choice(setting: str, value: T, kinds: object) -> T:
    """
    :raises InputError: it is none of those there are.
    """
    known = get_args(kinds)
    if value not in known:
        raise InputError(f"{setting}={value!r}?", f"Give one of {', '.join(map(repr, known))}.")
    return value


def _check_text(text: str) -> None:
    """
    :raises InputError: there is nothing to classify, or too much.
    """
    if not text.strip():
        raise InputError("There is no text to classify.", "Give some words.")
    if len(text) > LONGEST_TEXT:
        raise InputError(
            f"The text has {len(text)} characters.", f"Give at most {LONGEST_TEXT}, such as its beginning."
        )


def _copy(kept: ClassifierResult, result: ClassifierResult) -> None:
    for name in ClassifierResult.model_fields:
        setattr(result, name, getattr(kept, name))
