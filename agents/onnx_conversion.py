"""An embedding model's PyTorch weights as an ONNX file of 8-bit integers: made once, and every start is then without PyTorch.

It needs what the model's own library needs (sentence-transformers, onnx, onnxscript) and half a minute; what it makes needs onnxruntime alone.
"""

from __future__ import annotations

import asyncio
import math
import shutil
from dataclasses import dataclass
from operator import mul
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

from ..knowledge.errors import ConflictError, ModelNotAvailableError
from ..knowledge.vocabulary import EmbeddingConfig
from .local_models import json_of, onnx_file, size_of
from .providers.sentence_transformers import SentenceTransformersProvider

LEAST_COSINE = 0.99
"""How alike the vectors must be to PyTorch's, on average over the samples."""

_WEIGHTS = ("*.safetensors", "*.bin", "*.h5", "*.msgpack", "*.onnx", "*.ot", ".git*", "onnx", "openvino")
_SAMPLES = (
    "A man is eating food.",
    "The stock market fell by three percent after the central bank raised its rate again.",
    "def parse(text: str) -> dict[str, int]: return json.loads(text)",
    "Wie wird das Wetter morgen in Zürich?",
    "Total revenue for fiscal 2023 was $4,212 million, against $3,874 million a year before.",
    "x",
    "What is the boiling point of water at 3,000 metres?",
    "Patients who received the vaccine had a lower rate of severe infection. " * 12,
)


@dataclass(frozen=True, slots=True)
class Converted:
    """A model that was converted.

    :param folder: Where it is; what `SentenceTransformersEmbedder` takes.
    :param cosine: How alike its vectors are to PyTorch's, on average over some texts.
    :param size: Bytes of its weights, of `was` before.
    """

    folder: Path
    cosine: float
    size: int
    was: int


def convert_to_onnx(folder: Path, out: Path) -> Converted:
    """Make of an embedding model one that runs without PyTorch, and compare the two.

    Weights become 8-bit integers, one scale for each channel; activations are scaled as they come (dynamic quantisation).

    :param folder: The model, with PyTorch's weights.
    :param out: The folder to make; it is there whole or not at all.
    :raises ConflictError: `out` is there already, or `folder` has an ONNX file.
    :raises ModelNotAvailableError: it cannot be converted, or its vectors come out different.
    """
    if out.exists():
        raise ConflictError(f"{out} is there already.", "Name a folder that is not.")
    if onnx_file(folder) is not None:
        raise ConflictError(f"The model in {folder} has an ONNX file.", "Use it as it is.")
    if not json_of(folder / "modules.json"):
        raise ModelNotAvailableError(f"{folder} holds no embedding model.", "It needs a modules.json and its weights.")
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out.parent) as workshop:
        made = Path(workshop) / out.name
        shutil.copytree(folder, made, ignore=shutil.ignore_patterns(*_WEIGHTS))
        (made / "onnx").mkdir()
        file = made / "onnx" / "model_int8.onnx"
        try:
            _export(folder, Path(workshop) / "model.onnx")
            _quantise(Path(workshop) / "model.onnx", file)
        except ModuleNotFoundError as error:
            raise ModelNotAvailableError(
                f"{error.name} is not installed, and converting a model needs it.",
                "pip install sentence-transformers onnx onnxscript onnxruntime",
            ) from None
        except Exception as error:  # the exporter raises anything about an architecture it does not know
            raise ModelNotAvailableError(
                f"The model in {folder} cannot be converted ({type(error).__name__}: {error}).",
                "It still works with sentence-transformers.",
            ) from error
        cosine = asyncio.run(_likeness(folder.absolute(), made.absolute()))
        if not cosine >= LEAST_COSINE:
            raise ModelNotAvailableError(
                f"With 8-bit weights the vectors of the model in {folder} are others (cosine {cosine:.3f}).",
                "It still works with sentence-transformers.",
            )
        made.rename(out)
    return Converted(out, cosine, size_of(out, out / file.relative_to(made)), size_of(folder, None))


def _export(folder: Path, file: Path) -> None:
    """The transformer as an ONNX file of 32-bit floats, for any number and length of texts."""
    import torch
    from transformers import AutoModel

    names = ["input_ids", "attention_mask", "token_type_ids"]
    if not json_of(folder / "config.json").get("type_vocab_size"):
        names.pop()
    model: Any = AutoModel.from_pretrained(folder, attn_implementation="eager", local_files_only=True).eval()
    ids = torch.randint(5, model.config.vocab_size, (2, 8))
    examples = dict(zip(names, [ids, torch.ones_like(ids), torch.zeros_like(ids)], strict=False))
    torch.onnx.export(
        model,
        (),
        file,
        kwargs=examples,
        input_names=names,
        output_names=["last_hidden_state"],
        dynamic_shapes={name: {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens")} for name in names},
        external_data=False,
        verbose=False,
    )


def _quantise(file: Path, out: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic  # type: ignore[import-untyped]  # it ships no types

    quantize_dynamic(file, out, weight_type=QuantType.QInt8, per_channel=True)


async def _likeness(folder: Path, made: Path) -> float:
    """Mean cosine between the vectors of two models, over the samples."""
    provider = SentenceTransformersProvider()
    before, after = [await provider.embed(EmbeddingConfig(texts=list(_SAMPLES)), str(each)) for each in (folder, made)]
    return fmean(
        sum(map(mul, one.embedding, other.embedding)) / math.hypot(*one.embedding) / math.hypot(*other.embedding)
        for one, other in zip(before.vectors, after.vectors, strict=True)
    )
