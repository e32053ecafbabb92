"""Files sent along with a message."""

from __future__ import annotations

import base64
import gzip
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from racto.knowledge.files import RactoFile, anthropic_block, google_block, openai_block
from racto.knowledge.prompts import RactoPrompt

TYPES = (
    "image/jpeg", "image/png", "image/gif", "image/webp", "application/pdf", "text/plain", "text/csv", "application/zip",
)  # fmt: skip


def prompt() -> RactoPrompt:
    return RactoPrompt(role="r", aim="a", constraints=["c"], tone="t", output_format="text")


def user(provider: str, *files: RactoFile) -> dict[str, Any]:
    return prompt().to_messages("What is it?", attachments=list(files), provider=provider)[1]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.jpg", "image/jpeg"), ("a.PNG", "image/png"), ("a.gif", "image/gif"), ("a.webp", "image/webp"),
        ("a.pdf", "application/pdf"), ("a.txt", "text/plain"), ("a.md", "text/markdown"),
        ("a.unheard-of", "application/octet-stream"), ("noextension", "application/octet-stream"),
    ],
)  # fmt: skip
def test_a_file_from_disk_is_named_and_typed_by_its_name(tmp_path: Path, name: str, expected: str) -> None:
    (tmp_path / name).write_bytes(b"\x00data")
    file = RactoFile.from_path(tmp_path / name)
    assert (file.data, file.mime_type, file.name) == (b"\x00data", expected, name)
    assert RactoFile.from_path(str(tmp_path / name)).data == file.data


def test_a_compressed_text_is_not_taken_for_text(tmp_path: Path) -> None:
    (tmp_path / "notes.txt.gz").write_bytes(gzip.compress(b"notes"))
    file = RactoFile.from_path(tmp_path / "notes.txt.gz")
    assert not file.is_text
    assert file.mime_type == "application/octet-stream"


def test_a_missing_file_is_a_file_not_found_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        RactoFile.from_path(tmp_path / "nothing.png")


def test_bytes_make_a_file_without_a_name() -> None:
    file = RactoFile.from_bytes(b"abc", "image/png")
    assert (file.data, file.mime_type, file.name, file.base64_data) == (b"abc", "image/png", "", "YWJj")
    assert RactoFile(b"abc", "image/png", "x.png").name == RactoFile.from_bytes(b"abc", "image/png", name="x.png").name


def test_the_kind_of_a_file_is_one_of_image_pdf_and_text() -> None:
    kinds = {
        each: (RactoFile(b"", each).is_image, RactoFile(b"", each).is_pdf, RactoFile(b"", each).is_text)
        for each in TYPES
    }
    assert [kind for kind, (image, _, _) in kinds.items() if image] == list(TYPES[:4])
    assert [kind for kind, (_, pdf, _) in kinds.items() if pdf] == ["application/pdf"]
    assert [kind for kind, (_, _, text) in kinds.items() if text] == ["text/plain", "text/csv"]
    assert not RactoFile(b"", "image/svg+xml").is_image


def test_parameters_and_case_of_a_type_do_not_matter() -> None:
    assert RactoFile(b"", "Text/Plain; charset=utf-8").is_text
    assert RactoFile(b"", "IMAGE/PNG").is_image
    assert RactoFile(b"", "application/pdf; version=1.7").is_pdf


def test_the_repr_shows_name_type_and_size_but_no_data() -> None:
    assert (
        repr(RactoFile(b"secret", "text/plain", "a.txt")) == "RactoFile(name='a.txt', mime_type='text/plain', bytes=6)"
    )
    assert "<unnamed>" in repr(RactoFile(b"", "text/plain"))


@pytest.mark.parametrize("provider", ["openai", "anthropic", "google", "ollama", "generic"])
def test_without_attachments_the_content_is_the_plain_message(provider: str) -> None:
    assert prompt().to_messages("Hello", provider=provider) == [
        {"role": "system", "content": prompt().compile()},
        {"role": "user", "content": "Hello"},
    ]


@pytest.mark.parametrize("provider", ["openai", "anthropic", "google", "generic"])
def test_the_message_comes_after_all_attachments(provider: str) -> None:
    content = user(provider, *(RactoFile(b"x", each) for each in TYPES))["content"]
    assert len(content) == len(TYPES) + 1
    assert content[-1] == ({"text": "What is it?"} if provider == "google" else {"type": "text", "text": "What is it?"})


def test_openai_gets_images_as_data_uris() -> None:
    assert user("openai", RactoFile(b"abc", "image/png"))["content"][0] == {
        "type": "image_url",
        "image_url": {"url": "data:image/png;base64,YWJj"},
    }


def test_openai_gets_a_pdf_as_a_file_and_never_as_garbled_text() -> None:
    block = openai_block(RactoFile(b"%PDF-1.7 \xff\xfe", "application/pdf", "report.pdf"))
    assert block["type"] == "file"
    assert block["file"]["filename"] == "report.pdf"
    assert (
        base64.b64decode(block["file"]["file_data"].removeprefix("data:application/pdf;base64,"))
        == b"%PDF-1.7 \xff\xfe"
    )
    assert openai_block(RactoFile(b"", "application/pdf"))["file"]["filename"] == "document.pdf"


def test_anthropic_gets_images_documents_and_labelled_files() -> None:
    source = {"type": "base64", "media_type": "image/webp", "data": "YWJj"}
    assert anthropic_block(RactoFile(b"abc", "image/webp")) == {"type": "image", "source": source}
    source = {"type": "base64", "media_type": "application/pdf", "data": "YWJj"}
    assert anthropic_block(RactoFile(b"abc", "application/pdf")) == {"type": "document", "source": source}
    label, _, payload = anthropic_block(RactoFile(b"abc", "application/zip", "a.zip"))["text"].partition("\n")
    assert (label, payload) == ("[File: a.zip (application/zip) — base64 encoded]", "YWJj")
    assert "attachment" in anthropic_block(RactoFile(b"abc", "application/zip"))["text"]


def test_google_gets_inline_data() -> None:
    assert google_block(RactoFile(b"abc", "application/pdf")) == {
        "inline_data": {"mime_type": "application/pdf", "data": "YWJj"}
    }


def test_ollama_gets_images_beside_the_text_and_text_files_before_the_message() -> None:
    message = user(
        "ollama", RactoFile(b"abc", "image/png"), RactoFile(b"one", "text/plain"), RactoFile(b"two", "text/csv")
    )
    assert message == {"role": "user", "content": "one\n\ntwo\n\nWhat is it?", "images": ["YWJj"]}
    assert "images" not in user("ollama", RactoFile(b"one", "text/plain"))


def test_a_file_ollama_cannot_take_is_refused_and_not_dropped() -> None:
    with pytest.raises(ValueError, match=r"report\.pdf"):
        user("ollama", RactoFile(b"%PDF", "application/pdf", "report.pdf"))


def test_text_that_is_not_utf_8_is_readable_where_it_can_be() -> None:
    assert openai_block(RactoFile(b"caf\xe9", "text/plain"))["text"] == "caf\ufffd"


def decoded(block: dict[str, Any]) -> bytes:
    """The bytes in a block of any provider."""
    if block.get("type") == "image_url":
        return base64.b64decode(block["image_url"]["url"].partition(",")[2], validate=True)
    if block.get("type") == "file":
        return base64.b64decode(block["file"]["file_data"].partition(",")[2], validate=True)
    if "source" in block:
        return base64.b64decode(block["source"]["data"], validate=True)
    if "inline_data" in block:
        return base64.b64decode(block["inline_data"]["data"], validate=True)
    text: str = block["text"]
    return base64.b64decode(text.partition("\n")[2], validate=True) if text.startswith("[File: ") else text.encode()


@given(st.binary(max_size=200), st.sampled_from([each for each in TYPES if not each.startswith("text/")]))
def test_every_block_gives_back_the_bytes_it_was_made_of(data: bytes, mime_type: str) -> None:
    file = RactoFile(data, mime_type, "name")
    for block in (openai_block(file), anthropic_block(file), google_block(file)):
        assert decoded(block) == data


@given(st.text(max_size=200))
def test_text_reaches_every_provider_as_it_is(text: str) -> None:
    file = RactoFile(text.encode(), "text/markdown")
    for block in (openai_block(file), anthropic_block(file), google_block(file)):
        assert block["text"] == text
