"""One text on its way to its labels: asked locally when there is a local model, then of a model, again when the answer names no label."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from ...agents.telemetry import Telemetry
from ...knowledge.errors import NoModelError, RactoGatewayAPIError
from ...knowledge.prompts import RactoPrompt
from ...knowledge.vocabulary import ChatConfig, LLMResponse, Message, MessageRole
from ..asking import Share, ask, said_of, tokens
from .answers import ClassifierResult
from .confidence import WITH_LOG_PROBABILITIES, agreement, probability
from .options import Options
from .prompts import ConfidenceSource, Form, message, system_prompt
from .reading import Reading, complaint, read

_SAID_AGAIN = 2_000  # characters of an answer that the model is shown again
SAMPLED_AT = 0.7
"""The least temperature of several answers to one question; at 0 they would be one."""


class LocalPrediction(Protocol):
    """What a local model says of a text.

    :param label: `None` when it is not sure enough.
    :param probability: Of that label, 0 to 1.
    :param scores: Label → probability.
    """

    @property
    def label(self) -> str | None: ...
    @property
    def probability(self) -> float: ...
    @property
    def scores(self) -> dict[str, float]: ...


class LocalModel(Protocol):
    """A classifier of this machine."""

    def predict(self, text: str, options: Sequence[str]) -> LocalPrediction:
        """The label of a text, of those in `options`."""
        ...


@dataclass(frozen=True, slots=True)
class Plan:
    """How texts are classified.

    :param kit: Anything with `achat(ChatConfig)` or `chat(ChatConfig)`.
    :param prompt: The caller's own system prompt; `None` for ours.
    :param retries: How often the model is asked again when its answer names no label.
    :param threshold: Labels of a lower confidence are dropped, but for the surest.
    :param confidence_from: What confidences are.
    :param samples: Answers to one text, when confidence is their agreement.
    :param local: Asked before the model.
    """

    kit: Any
    form: Form
    prompt: RactoPrompt | None
    temperature: float | None
    max_tokens: int
    retries: int
    fuzzy: bool
    threshold: float | None
    confidence_from: ConfidenceSource
    samples: int
    local: LocalModel | None


@dataclass(slots=True)
class Run:
    """One text.

    :param options: Every label that may be chosen.
    :param shown: Those the model is shown.
    :param refused: Fingerprints of lists whose schema the provider refused; shared by all runs.
    :param complete: Whether an answer was understood; what was not is no answer to keep.
    """

    plan: Plan
    options: Options
    shown: Options
    history: Sequence[Message]
    share: Share
    telemetry: Telemetry
    refused: set[str]
    result: ClassifierResult
    complete: bool = field(default=True, init=False)

    async def all(self) -> None:
        """Fill the result.

        :raises RateLimitExceededError: the user's share is used up.
        :raises RactoGatewayError: the model could not be asked.
        """
        if self.plan.local is not None and await self._locally(self.plan.local):
            return
        if self.plan.kit is None:
            raise NoModelError("There is no model to classify with.", "Give kit=.")
        plan = self.plan
        if plan.confidence_from != "agreement":
            self._take(await self._understood(plan))
            return
        several = replace(plan, temperature=max(plan.temperature or 0.0, SAMPLED_AT))
        answers = await asyncio.gather(*(self._understood(several) for _ in range(plan.samples)))
        self._take(agreement(answers, single=plan.form.mode == "single"))

    async def _locally(self, local: LocalModel) -> bool:
        """Whether the local model was sure enough."""
        if self.plan.form.mode != "single":
            return False
        found = await asyncio.to_thread(local.predict, self.result.user_query, self.options.labels)
        if found.label is None or found.label not in self.options.labels:
            return False
        self.result.selected = [found.label]
        self.result.answered_by = "local"
        self.result.uncertain = found.label == self.options.uncertain_label
        if self.plan.form.confidence:
            self.result.confidences, self.result.confidence_kind = [found.probability], "local"
        if self.plan.form.scores:
            self.result.all_scores = {label: found.scores.get(label, 0.0) for label in self.options.labels}
        return True

    async def _understood(self, plan: Plan) -> Reading:
        """An answer that names labels of the list, or the last one that does not."""
        turns, asked = list(self.history), message(self.result.user_query, self.shown, plan.form)
        for tries_left in reversed(range(plan.retries + 1)):
            response = await self._answer(plan, turns, asked)
            reading = read(response, self.shown, plan.form, fuzzy=plan.fuzzy)
            if not reading.problem or not tries_left:
                break
            self.result.usage.retry_count += 1
            said = (response.content or "(nothing)")[:_SAID_AGAIN]
            turns += [
                Message(role=MessageRole.USER, content=asked),
                Message(role=MessageRole.ASSISTANT, content=said),
            ]
            asked = complaint(reading, self.shown)
        if plan.confidence_from == "log-probabilities" and len(reading.labels) == 1:
            measured = probability(response)
            if measured is not None:
                reading.labels, reading.kind = dict.fromkeys(reading.labels, measured), "log-probabilities"
        return reading

    async def _answer(self, plan: Plan, turns: Sequence[Message], asked: str) -> LLMResponse:
        """One answer; of a provider that refuses the schema of this list, one without it."""
        list_ = self.shown.fingerprint
        try:
            return await self._call(plan, turns, asked, enforced=list_ not in self.refused)
        except RactoGatewayAPIError as error:
            # Its own class: what is wrong is neither the key, nor the model, nor the length of the conversation.
            if type(error) is not RactoGatewayAPIError or error.status_code not in (400, 422) or list_ in self.refused:
                raise
            response = await self._call(plan, turns, asked, enforced=False)
            self.refused.add(list_)  # only now: it was the schema that was refused
            return response

    async def _call(self, plan: Plan, turns: Sequence[Message], asked: str, *, enforced: bool) -> LLMResponse:
        tells = plan.confidence_from == "log-probabilities" and said_of(plan.kit, "provider") in WITH_LOG_PROBABILITIES
        config = ChatConfig(
            user_message=asked,
            prompt=system_prompt(plan.prompt, self.shown, plan.form, enforced=enforced),
            temperature=plan.temperature,
            max_tokens=plan.max_tokens,
            history=list(turns),
            extra={"logprobs": True} if tells else {},
        )
        response = await ask(plan.kit, config, self.share, self.telemetry, "classify")
        read_, written = tokens(response)
        self.result.usage.input_tokens += read_
        self.result.usage.output_tokens += written
        return response

    def _take(self, reading: Reading) -> None:
        """Put what was read into the result; nothing that was not understood."""
        result, form, threshold = self.result, self.plan.form, self.plan.threshold
        labels = {} if reading.problem and form.mode == "single" else dict(reading.labels)
        self.complete = not reading.problem
        if len(labels) > 1 and self.options.uncertain_label is not None:
            labels.pop(self.options.uncertain_label, None)
        known = {label: confidence for label, confidence in labels.items() if confidence is not None}
        if len(known) == len(labels):
            ranked = sorted(known, key=lambda label: -known[label])
            sure = [label for label in ranked if threshold is None or known[label] >= threshold]
            result.selected = sure or ranked[:1]
        else:
            result.selected = list(labels)
        if not labels and self.options.uncertain_label is not None:
            result.selected = [self.options.uncertain_label]
        result.uncertain = not labels or result.selected == [self.options.uncertain_label]
        result.answered_by = "model"
        result.reasoning, result.all_scores = reading.reasoning, self._all_scores(reading)
        result.fuzzy_corrected = reading.fuzzy and bool(labels)
        if form.confidence and labels and len(known) == len(labels):
            result.confidences = [known[label] for label in result.selected]
            result.confidence_kind = reading.kind

    def _all_scores(self, reading: Reading) -> dict[str, float] | None:
        """A score for every label: one the model was not shown has 0."""
        if reading.scores is None:
            return None
        return {label: reading.scores.get(label, 0.0) for label in self.options.labels}
