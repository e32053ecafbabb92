"""Models that run in this process: where they lie, how much memory they may have, and how an ONNX one reads text.

Nothing is downloaded: a model is a folder, or lies in the cache of `huggingface_hub`. What loads or runs one does so in a thread.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ..knowledge.errors import ModelNotAvailableError, RactoGatewayError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")

KNOWN = {
    "AllMiniLmL6V2": "sentence-transformers/all-MiniLM-L6-v2",
    "AllMiniLmL12V2": "sentence-transformers/all-MiniLM-L12-v2",
    "BgeSmallEn": "BAAI/bge-small-en-v1.5",
    "BgeBaseEn": "BAAI/bge-base-en-v1.5",
    "NliDebertaV3Base": "cross-encoder/nli-deberta-v3-base",
    "NliDebertaV3Small": "cross-encoder/nli-deberta-v3-small",
}
"""Short names of models, and the repositories they are."""

ONNX_FILES = (
    "onnx/model_int8.onnx",
    "onnx/model_qint8_avx512_vnni.onnx",
    "onnx/model_quint8_avx2.onnx",
    "onnx/model_quantized.onnx",
    "onnx/model.onnx",
    "model_quantized.onnx",
    "model.onnx",
)
"""Where repositories keep their ONNX files, the smallest and fastest first."""

_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_WINDOW = 512
"""Texts that are read into tokens at once."""
_BATCH_TOKENS = 2048
"""Tokens that are computed at once, padding included: more of them leave the processor's cache and are not faster."""
_LONGEST = 512
# Its kernel works number by number: an addition and a layer normalisation by themselves take half the time (onnxruntime 1.31, AVX-512).
_SLOWER = ["SkipLayerNormFusion"]


class Device(StrEnum):
    """Where a model computes."""

    CPU = "cpu"
    CUDA = "cuda"


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """A local model as the manager knows it.

    :param size: Bytes of its weights; 0 when it was never asked for.
    :param loading: Whether it is being loaded at this moment.
    """

    name: str
    loaded: bool
    size: int
    loading: bool = False


class ModelManager:
    """Loads models when they are first needed and keeps them within a budget of memory; those not used for longest go first.

    One that is still computing keeps its memory until it is done.

    :param ram_budget: Bytes of weights all loaded models may have together; `None` for no limit.
    """

    def __init__(self, ram_budget: int | None = None) -> None:
        self.ram_budget = ram_budget
        self._loaded: OrderedDict[str, Any] = OrderedDict()
        self._sizes: dict[str, int] = {}
        self._loading = ""
        self._lock = threading.Lock()
        self._turn = threading.Lock()  # one load at a time; who only looks need not wait for it

    async def get(self, name: str, size: int, load: Callable[[], T]) -> T:
        """The loaded model.

        :param size: Bytes of its weights.
        :param load: Loads it; runs in a thread.
        :raises ModelNotAvailableError: it is larger than the whole budget, or cannot be loaded.
        """
        return await asyncio.to_thread(self._get, name, size, load)

    def list_models(self) -> list[str]:
        """The names of the loaded models, the last used one last."""
        with self._lock:
            return list(self._loaded)

    def model_status(self, name: str) -> ModelStatus:
        """What is known of a model."""
        with self._lock:
            return ModelStatus(name, name in self._loaded, self._sizes.get(name, 0), name == self._loading)

    def _get(self, name: str, size: int, load: Callable[[], T]) -> T:
        with self._lock:
            if name in self._loaded:
                return cast("T", self._used(name))
        with self._turn:
            with self._lock:
                if name in self._loaded:  # meanwhile, in another thread
                    return cast("T", self._used(name))
                self._make_room(name, size)
                self._loading = name
            try:
                loaded = _loading(name, load)
                with self._lock:
                    self._loaded[name], self._sizes[name] = loaded, size
            finally:
                self._loading = ""
            return loaded

    def _used(self, name: str) -> Any:
        self._loaded.move_to_end(name)
        return self._loaded[name]

    def _make_room(self, name: str, size: int) -> None:
        if self.ram_budget is None:
            return
        if size > self.ram_budget:
            raise ModelNotAvailableError(
                f"{name} needs {size / 2**20:.0f} MiB, and local models may have {self.ram_budget / 2**20:.0f} MiB.",
                "Allow more memory, or use a smaller model.",
                model=name,
            )
        while self._loaded and sum(self._sizes[each] for each in self._loaded) + size > self.ram_budget:
            self._loaded.popitem(last=False)


def _loading(name: str, load: Callable[[], T]) -> T:
    try:
        return load()
    except RactoGatewayError:
        raise
    except Exception as error:  # a library may raise anything about a file it cannot use
        raise ModelNotAvailableError(
            f"{name} cannot be loaded ({type(error).__name__}: {error}).", "Check its files.", model=name
        ) from error


def find_model(name: str, folders: Iterable[Path] = ()) -> Path:
    """The folder of a model.

    :param name: The absolute path of a folder, a name below one of `folders`, a repository in the cache of `huggingface_hub`, or one of `KNOWN`.
    :raises ModelNotAvailableError: it is not on this machine.
    """
    repository = KNOWN.get(name, name)
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    cached = Path(os.environ.get("HF_HUB_CACHE") or home / "hub") / f"models--{repository.replace('/', '--')}"
    places = [Path(name).expanduser()] if Path(name).is_absolute() or name.startswith("~") else []
    for folder in folders if ".." not in Path(repository).parts else ():
        places += [folder / repository, folder / repository.rpartition("/")[2]]
    commit = cached / "refs" / "main"
    if commit.is_file():
        places.append(cached / "snapshots" / commit.read_text(encoding="utf-8").strip())
    for place in places:
        if (place / "config.json").is_file():
            return place
    raise ModelNotAvailableError(
        f"The model {name} is not on this machine.",
        f"Download it once: hf download {repository}; or give the folder it lies in.",
        model=name,
    )


def onnx_file(folder: Path) -> Path | None:
    """The ONNX file of a model, if it has one."""
    return next((folder / each for each in ONNX_FILES if (folder / each).is_file()), None)


def size_of(folder: Path, file: Path | None) -> int:
    """Bytes of the weights: those of the ONNX file, or else of PyTorch's."""
    if file is not None:
        return file.stat().st_size + sum(each.stat().st_size for each in file.parent.glob(f"{file.name}_data*"))
    return sum((folder / each).stat().st_size for each in _WEIGHTS if (folder / each).is_file())


def json_of(file: Path) -> Any:
    """The JSON value of a file, an empty object when there is none."""
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


class OnnxModel:
    """A transformer as an ONNX file, and its tokenizer.

    :param folder: With `tokenizer.json` and `config.json`.
    :param longest: Tokens of a text that are read; `None` asks the model's own files.
    """

    def __init__(self, folder: Path, file: Path, device: Device = Device.CPU, longest: int | None = None) -> None:
        import onnxruntime  # type: ignore[import-untyped]  # it ships no types
        import tokenizers

        self.folder = folder
        options = onnxruntime.SessionOptions()
        # By default it takes the cores it takes for physical ones, which in a virtual machine is one of two.
        options.intra_op_num_threads = os.cpu_count() or 1
        providers = ["CUDAExecutionProvider"] if device is Device.CUDA else []
        self._session = onnxruntime.InferenceSession(
            str(file), options, providers=[*providers, "CPUExecutionProvider"], disabled_optimizers=_SLOWER
        )
        self._inputs = {each.name for each in self._session.get_inputs()}
        self._outputs = [each.name for each in self._session.get_outputs()]
        self._tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(longest or _longest(folder))
        self._pad = (self._tokenizer.padding or {}).get("pad_id", 0)
        self._tokenizer.no_padding()  # a batch is put together when all lengths are known

    def run(
        self,
        texts: Sequence[str] | Sequence[tuple[str, str]],
        reduce: Callable[[dict[str, NDArray[Any]], NDArray[np.int64]], NDArray[np.float32]],
    ) -> tuple[NDArray[np.float32], int]:
        """One row for each text, or pair of texts, in their order, and how many tokens were read.

        :param reduce: Makes the rows of a batch of the model's outputs by name, and the mask (texts x tokens, 1 where there is text).
        """
        import numpy as np

        rows: list[Any] = [None] * len(texts)
        tokens = 0
        for first in range(0, len(texts), _WINDOW):
            read = self._tokenizer.encode_batch(list(texts[first : first + _WINDOW]))
            for places in _batches([len(each.ids) for each in read]):
                given = self._batch([read[place] for place in places])
                outputs = self._session.run(None, {name: given[name] for name in self._inputs})
                mask = given["attention_mask"]
                made = reduce(dict(zip(self._outputs, outputs, strict=True)), mask)
                for place, row in zip(places, made, strict=True):
                    rows[first + place] = row
                tokens += int(mask.sum())
        return np.stack(rows).astype(np.float32, copy=False), tokens

    def _batch(self, read: Sequence[Any]) -> dict[str, NDArray[np.int64]]:
        """The inputs of some texts: each texts x tokens, the shorter ones padded at their end."""
        import numpy as np

        shape = len(read), max(len(each.ids) for each in read)
        ids, mask, types = np.full(shape, self._pad, np.int64), np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        for row, each in enumerate(read):
            length = len(each.ids)
            ids[row, :length], mask[row, :length], types[row, :length] = each.ids, each.attention_mask, each.type_ids
        return {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Places of texts of like length, for what a short one is padded with is computed too; shortest first.

    :param lengths: Tokens of each text.
    """
    batch: list[int] = []
    for place in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[place] > _BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch


def _longest(folder: Path) -> int:
    """Tokens a model reads: what its makers say, within what its positions allow."""
    told = json_of(folder / "sentence_bert_config.json").get("max_seq_length")
    told = told or json_of(folder / "tokenizer_config.json").get("model_max_length") or _LONGEST
    positions = json_of(folder / "config.json").get("max_position_embeddings") or _LONGEST
    return int(min(told, positions))
