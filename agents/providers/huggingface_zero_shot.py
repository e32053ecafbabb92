"""Zero-shot classification by the Inference API of Hugging Face, for models such as `facebook/bart-large-mnli`."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from ...knowledge.errors import MalformedResponseError
from .http_exchange import HTTPExchange
from .huggingface import DIALECT, KEY_VARIABLES, PROVIDER, ROUTER


class HuggingFaceZeroShot:
    """One hosted classifier.

    :param model: Its repository.
    :param api_key: `None` reads `HF_TOKEN`, then `HUGGINGFACE_TOKEN`.
    :param router: The address of the Inference API.
    """

    def __init__(
        self, model: str = "facebook/bart-large-mnli", api_key: str | None = None, *, router: str = ROUTER
    ) -> None:
        self.model = model
        self.name = f"{PROVIDER}/{model}"
        self._exchange = HTTPExchange(PROVIDER, DIALECT, router, api_key, *KEY_VARIABLES)

    async def scores(self, text: str, labels: Sequence[str], hypothesis: str, *, alone: bool) -> list[float]:
        """How well each label fits, in their order.

        :param hypothesis: The sentence a label makes at `{}`.
        :param alone: Judge each label by itself.
        """
        parameters = {"candidate_labels": list(labels), "hypothesis_template": hypothesis, "multi_label": alone}
        path = f"/hf-inference/models/{quote(self.model)}"
        with self._exchange.guarded(self.model):
            sent = await self._exchange.post(path, {"inputs": text, "parameters": parameters}, self.model)
            answer = await self._exchange.value(sent)
            if isinstance(answer, dict):  # as older servers say it
                told = dict(zip(answer["labels"], answer["scores"], strict=True))
            else:
                told = {each["label"]: each["score"] for each in answer}
            if told.keys() != set(labels):
                raise MalformedResponseError(
                    f"The answer of {PROVIDER} has other labels than were asked.", "Try again."
                )
            return [float(told[label]) for label in labels]

    async def aclose(self) -> None:
        """Close what is open."""
        await self._exchange.aclose()
