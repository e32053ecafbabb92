"""Embeddings made in this process: by onnxruntime where the model has an ONNX file, else by sentence-transformers.

An ONNX file loads in a tenth of a second; PyTorch takes seconds and is only imported, in a thread, for a model that has none.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...knowledge.errors import ModelNotAvailableError, UnsupportedParameterError
from ...knowledge.vocabulary import EmbeddingConfig, EmbeddingResponse, EmbeddingVector
from ..local_models import Device, ModelManager, ModelStatus, OnnxModel, find_model, json_of, onnx_file, size_of
from .answers import usage
from .embeddings import EmbedsOnly

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PROVIDER = "sentence_transformers"

Judge = Callable[[list[tuple[str, str]]], list[float]]
"""Pairs of a question and a text → how well each text answers."""

Encode = Callable[[list[str]], "tuple[NDArray[np.float32], int]"]
"""Texts → their vectors, and how many tokens were read."""


class SentenceTransformersProvider(EmbedsOnly):
    """Local embedding models.

    :param folders: Where models lie, besides the cache of `huggingface_hub`.
    :param ram_budget: Bytes the weights of all loaded models may have together.
    :param device: Where they compute.
    :param manager: Shared with other local models; brings its own budget.
    """

    name = PROVIDER
    local = True
    capabilities = frozenset({"embed"})

    def __init__(
        self,
        folders: Sequence[Path | str] = (),
        *,
        ram_budget: int | None = None,
        device: Device = Device.CPU,
        manager: ModelManager | None = None,
    ) -> None:
        self.manager = manager or ModelManager(ram_budget)
        self._folders = [Path(folder).expanduser() for folder in folders]
        self._device = device

    async def embed(self, config: EmbeddingConfig, model: str) -> EmbeddingResponse:
        """The vectors of the texts, in their order; a text longer than the model reads is cut.

        :raises ModelNotAvailableError: the model is not on this machine, or there is no room for it.
        """
        for parameter in [*(["dimensions"] if config.dimensions is not None else []), *config.extra]:
            raise UnsupportedParameterError(
                f"A local model does not take {parameter}.",
                "Leave it out.",
                parameter=parameter,
                provider=PROVIDER,
                model=model,
            )
        try:
            folder = await asyncio.to_thread(find_model, model, self._folders)
            file = onnx_file(folder) if _runs_in_onnx(folder) else None
            encode = await self.manager.get(
                _key(folder), size_of(folder, file), lambda: _loaded(folder, file, self._device)
            )
        except ModelNotAvailableError as error:
            error.provider, error.model = PROVIDER, model
            raise
        vectors, tokens = await asyncio.to_thread(encode, config.texts)
        return EmbeddingResponse(
            vectors=[
                EmbeddingVector(index=place, text=text, embedding=vector)
                for place, (text, vector) in enumerate(zip(config.texts, vectors.tolist(), strict=True))
            ],
            model=model,
            provider=PROVIDER,
            usage=usage(tokens, 0),
            raw={"engine": "onnxruntime" if file else "sentence-transformers", "file": str(file or folder)},
        )

    def status(self, model: str) -> ModelStatus:
        """Whether a model is loaded, or being loaded; who asks does not wait for that.

        :raises ModelNotAvailableError: the model is not on this machine.
        """
        return self.manager.model_status(_key(find_model(model, self._folders)))

    async def models(self) -> list[dict[str, Any]]:
        """The models in `folders`, and whether each has an ONNX file and is loaded."""
        loaded = set(self.manager.list_models())

        def found() -> list[dict[str, Any]]:
            places = [file.parent for folder in self._folders for file in sorted(folder.glob("*/modules.json"))]
            return [
                {"id": place.name, "onnx": onnx_file(place) is not None, "loaded": _key(place) in loaded}
                for place in places
            ]

        return await asyncio.to_thread(found)

    async def aclose(self) -> None:
        """Nothing is open: models go with this object."""


def _key(folder: Path) -> str:
    """What the manager knows a model by."""
    return f"{PROVIDER}/{folder}"


def _loaded(folder: Path, file: Path | None, device: Device) -> Encode:
    return _by_onnx(folder, file, device) if file else _by_torch(folder, device)


def _runs_in_onnx(folder: Path) -> bool:
    """Whether what surrounds the transformer is all known here, and there is something to run it."""
    kinds = {each["type"].rpartition(".")[2] for each in json_of(folder / "modules.json")}
    prompt = json_of(folder / "config_sentence_transformers.json").get("default_prompt_name")
    known = kinds <= {"Transformer", "Pooling", "Normalize"} and _pooling(folder) in _POOLINGS and not prompt
    whole = (folder / "tokenizer.json").is_file()
    return known and whole and all(find_spec(each) for each in ("onnxruntime", "tokenizers"))


def _by_onnx(folder: Path, file: Path, device: Device) -> Encode:
    model = OnnxModel(folder, file, device)
    pool = _POOLINGS[_pooling(folder)]
    normalised = any(each["type"].endswith(".Normalize") for each in json_of(folder / "modules.json"))

    def reduce(outputs: dict[str, NDArray[Any]], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        import numpy as np

        states = outputs.get("last_hidden_state", outputs.get("token_embeddings"))
        made: NDArray[Any] = pool(next(iter(outputs.values())) if states is None else states, mask)
        if normalised:
            made = made / np.maximum(np.linalg.norm(made, axis=1, keepdims=True), 1e-12)
        return made

    return lambda texts: model.run(texts, reduce)


def _pooling(folder: Path) -> str:
    """How token vectors become one: `mean`, `cls` or `max`; "" for what is none of these alone."""
    where = [each["path"] for each in json_of(folder / "modules.json") if each["type"].endswith(".Pooling")]
    told = json_of(folder / where[0] / "config.json") if where else {}
    if "pooling_mode" in told:
        return str(told["pooling_mode"])
    modes = [name.removeprefix("pooling_mode_").partition("_")[0] for name, on in told.items() if on is True]
    modes = [mode for mode in modes if mode in ("cls", "mean", "max", "weightedmean", "lasttoken")]
    return "mean" if not told else modes[0] if len(modes) == 1 else ""


def _mean(states: NDArray[Any], mask: NDArray[np.int64]) -> NDArray[Any]:
    made: NDArray[Any] = (states * mask[..., None]).sum(1) / mask.sum(1, keepdims=True).clip(1)
    return made


def _max(states: NDArray[Any], mask: NDArray[np.int64]) -> NDArray[Any]:
    import numpy as np

    made: NDArray[Any] = np.where(mask[..., None] == 1, states, -np.inf).max(1)
    return made


_POOLINGS: dict[str, Callable[[Any, Any], Any]] = {"mean": _mean, "max": _max, "cls": lambda states, mask: states[:, 0]}


def _by_torch(folder: Path, device: Device) -> Encode:
    library = _sentence_transformers(folder)
    model = library.SentenceTransformer(str(folder), device=device.value, local_files_only=True)
    lock = threading.Lock()  # calls set its tokenizer up: at once, one would pad as the other asked

    def encode(texts: list[str]) -> tuple[NDArray[np.float32], int]:
        with lock:
            vectors = model.encode(texts, show_progress_bar=False, convert_to_numpy=True)
            read = model.tokenizer(texts, truncation=True, max_length=model.max_seq_length)
        return vectors, sum(map(len, read["input_ids"]))

    return encode


def cross_encoder(folder: Path, device: Device = Device.CPU) -> Judge:
    """A cross-encoder, loaded: by onnxruntime where it has an ONNX file, else by sentence-transformers.

    :raises ModelNotAvailableError: it gives more than one number for a pair, or there is nothing to run it.
    """
    labels = json_of(folder / "config.json").get("id2label") or {}
    if len(labels) > 1:
        raise ModelNotAvailableError(
            f"The model in {folder} does not rank: it tells {', '.join(map(str, labels.values()))} apart.",
            "Use one with one number for each pair, such as cross-encoder/ms-marco-MiniLM-L6-v2.",
        )
    file = onnx_file(folder)
    if file is not None:
        model = OnnxModel(folder, file, device)
        return lambda pairs: model.run(pairs, lambda outputs, mask: next(iter(outputs.values()))[:, 0])[0].tolist()
    library = _sentence_transformers(folder)
    ranker = library.CrossEncoder(str(folder), device=device.value, local_files_only=True)
    lock = threading.Lock()  # as in `_by_torch`

    def judge(pairs: list[tuple[str, str]]) -> list[float]:
        with lock:
            scores: list[float] = ranker.predict(pairs, show_progress_bar=False).tolist()
        return scores

    return judge


def _sentence_transformers(folder: Path) -> Any:
    try:
        import sentence_transformers
    except ModuleNotFoundError:
        raise ModelNotAvailableError(
            f"The model in {folder} has no ONNX file, and sentence-transformers is not installed.",
            "Use a model with an ONNX file (and pip install onnxruntime tokenizers), or pip install sentence-transformers.",
        ) from None
    return sentence_transformers
