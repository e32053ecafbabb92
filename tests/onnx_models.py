"""Tiny ONNX models of the tests' own making: real files for the real runtime, whose every answer can be worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import tokenizers
from onnx import TensorProto, helper, numpy_helper

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
WORDS = ["not", "sports", "politics", "football", "goal", "election", "favor", "against", "neutral", "good", "bad"]
IDS = [*SPECIAL, *WORDS]


def _tokenizer(folder: Path) -> None:
    made = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({word: place for place, word in enumerate(IDS)}, unk_token="[UNK]")
    )
    made.normalizer = tokenizers.normalizers.Lowercase()
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    made.save(str(folder / "tokenizer.json"))


def _save(
    folder: Path, file: str, inputs: list[str], nodes: list[Any], tables: dict[str, Any], output: str, shape: list[Any]
) -> None:
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"]) for name in inputs],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(value, name) for name, value in tables.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, folder / file)


def vector(word: str) -> list[float]:
    """The vector of one token, in the embedding model."""
    place = IDS.index(word if word in IDS else "[UNK]")
    return [float(place), float(place % 3), 1.0]


def embedding_model(
    folder: Path, *, pooling: str = "mean", normalised: bool = True, file: str = "onnx/model.onnx"
) -> Path:
    """A sentence-transformers folder whose transformer looks tokens up in a table."""
    folder.mkdir(parents=True, exist_ok=True)
    _tokenizer(folder)
    table = np.array([vector(word) for word in IDS], dtype=np.float32)
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["last_hidden_state"])]
    _save(folder, file, ["input_ids"], nodes, {"table": table}, "last_hidden_state", ["batch", "tokens", 3])
    modules = [{"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"}]
    modules += [{"idx": 1, "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]
    modules += (
        [{"idx": 2, "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}] if normalised else []
    )
    told = {f"pooling_mode_{name}": name.startswith(pooling) for name in ("cls_token", "mean_tokens", "max_tokens")}
    files: dict[str, Any] = {"modules.json": modules, "1_Pooling/config.json": told}
    files |= {"config.json": {"max_position_embeddings": 512}, "sentence_bert_config.json": {"max_seq_length": 8}}
    for name, value in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(value), encoding="utf-8")
    return folder


def _shared_words() -> tuple[list[Any], dict[str, Any]]:
    """Nodes that make `overlap` (batch x 1), the words two texts share, and `first` (1 where the first text is); and their tables."""
    size = len(IDS)
    known = np.zeros((size, size), dtype=np.float32)
    for word in WORDS[1:]:
        known[IDS.index(word), IDS.index(word)] = 1
    tables = {"known": known, "one": np.array(1, dtype=np.float32), "last": np.array([2]), "words": np.array([1])}
    nodes = [
        helper.make_node("Cast", ["token_type_ids"], ["second_flat"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["second_flat", "last"], ["second"]),
        helper.make_node("Sub", ["one", "second"], ["first"]),
        helper.make_node("Gather", ["known", "input_ids"], ["seen"]),
        helper.make_node("Mul", ["seen", "first"], ["seen_first"]),
        helper.make_node("Mul", ["seen", "second"], ["seen_second"]),
        helper.make_node("ReduceMax", ["seen_first"], ["in_first"], axes=[1], keepdims=0),
        helper.make_node("ReduceMax", ["seen_second"], ["in_second"], axes=[1], keepdims=0),
        helper.make_node("Mul", ["in_first", "in_second"], ["shared"]),
        helper.make_node("ReduceSum", ["shared", "words"], ["overlap"], keepdims=1),
    ]
    return nodes, tables


def ranking_model(folder: Path) -> Path:
    """A cross-encoder that counts the words question and text share."""
    folder.mkdir(parents=True, exist_ok=True)
    _tokenizer(folder)
    nodes, tables = _shared_words()
    _save(folder, "onnx/model.onnx", ["input_ids", "token_type_ids"], nodes, tables, "overlap", ["batch", 1])
    config = {"max_position_embeddings": 64, "id2label": {0: "LABEL_0"}}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def nli_model(folder: Path, labels: tuple[str, ...] = ("contradiction", "entailment", "neutral")) -> Path:
    """An inference model that counts: entailment is 4 for each word premise and hypothesis share, contradiction 8 for each `not` in the
    premise, neutral always 2."""
    folder.mkdir(parents=True, exist_ok=True)
    _tokenizer(folder)
    nodes, tables = _shared_words()
    denied = np.zeros((len(IDS), 1), dtype=np.float32)
    denied[IDS.index("not")] = 8
    tables |= {"denied": denied, "four": np.array(4, dtype=np.float32), "two": np.array(2, dtype=np.float32)}
    tables |= {"tokens": np.array([1])}
    nodes += [
        helper.make_node("Mul", ["overlap", "four"], ["entailment"]),
        helper.make_node("Gather", ["denied", "input_ids"], ["denials"]),
        helper.make_node("Mul", ["denials", "first"], ["denials_first"]),
        helper.make_node("ReduceSum", ["denials_first", "tokens"], ["contradiction"], keepdims=0),
        helper.make_node("Sub", ["overlap", "overlap"], ["nothing"]),
        helper.make_node("Add", ["nothing", "two"], ["neutral"]),
        helper.make_node("Concat", ["contradiction", "entailment", "neutral"], ["logits"], axis=1),
    ]
    _save(folder, "onnx/model.onnx", ["input_ids", "token_type_ids"], nodes, tables, "logits", ["batch", 3])
    config = {"max_position_embeddings": 64, "id2label": dict(enumerate(labels))}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder
