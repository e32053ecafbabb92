"""`racto export` and `racto import`, as a person runs them."""

from __future__ import annotations

from pathlib import Path

import pytest
from racto.server.cli import main


@pytest.fixture(autouse=True)
def one_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("RACTO_DATABASE", str(tmp_path / "racto.db"))
    monkeypatch.chdir(tmp_path)
    assert main(["call", "page_ingest", "--arg", "text=A kitten sleeps.", "--arg", "source=pets.md"]) == 0
    capsys.readouterr()


def test_a_collection_is_carried_to_another_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export"]) == 0
    assert "1 document, 1 page, 1 passage" in capsys.readouterr().out
    monkeypatch.setenv("RACTO_DATABASE", str(tmp_path / "other.db"))
    assert main(["import", "default.racto", "--as", "animals"]) == 0
    assert "animals: 1 document, 1 page, 1 passage" in capsys.readouterr().out
    assert main(["search", "kitten", "--collection", "animals"]) == 0
    assert "pets.md" in capsys.readouterr().out


def test_nothing_that_is_there_is_overwritten_unasked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "default", "kept.racto"]) == 0
    assert main(["export", "default", "kept.racto"]) == 2
    assert main(["import", "kept.racto"]) == 2
    assert "already" in capsys.readouterr().err
    assert main(["import", "kept.racto", "--replace"]) == 0
    assert "page_restore" in capsys.readouterr().out
