"""`racto convert`: an embedding model that needs PyTorch, made into one that does not."""

from __future__ import annotations

import argparse
import io
import warnings
from contextlib import redirect_stderr
from pathlib import Path

from ..console import err, out

EXAMPLES = """\
  racto convert ~/Downloads/all-MiniLM-L6-v2 ~/models/minilm
  racto convert ./bge-small-en-v1.5 ~/models/bge    then models_folder=~/models, embedding_models=sentence_transformers/bge"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this command."""
    parser.add_argument("folder", type=Path, help="the model as sentence-transformers has it")
    parser.add_argument("to", type=Path, help="the folder to make")


def run(arguments: argparse.Namespace) -> int:
    """Convert it, and say how alike the vectors of the two are."""
    from ...agents.onnx_conversion import convert_to_onnx

    err("Converting takes about half a minute …")
    with redirect_stderr(io.StringIO()), warnings.catch_warnings(action="ignore"):  # what exporters tell their makers
        made = convert_to_onnx(arguments.folder.expanduser(), arguments.to.expanduser())
    out(
        f"{made.folder}: {made.size / 2**20:.0f} MiB instead of {made.was / 2**20:.0f}; its vectors are like the model's own (mean cosine {made.cosine:.3f})."
    )
    return 0
