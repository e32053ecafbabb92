"""What the keyring of a desktop is asked for by calls to models: each question may open a window in front of a person."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import keyring
import pytest
from keyring.backend import KeyringBackend
from racto.server.secrets import KNOWN, own

from tests import dialects
from tests.dialects.voyage import Voyage
from tests.test_chat_tools import house

pytestmark = pytest.mark.anyio


class Desktop(KeyringBackend):
    """An open keyring that notes which names it is asked for, and by which threads."""

    priority = -1  # nobody else's tests choose it by themselves

    def __init__(self, **passwords: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # keyring gives it no types
        self.passwords = passwords
        self.asked: list[str] = []
        self.threads: set[threading.Thread] = set()

    def get_password(self, service: str, username: str) -> str | None:
        """What is kept under a name."""
        assert service == "racto"
        self.asked.append(username)
        self.threads.add(threading.current_thread())
        return self.passwords.get(username)

    def set_password(self, service: str, username: str, password: str) -> None:
        """Nobody keeps anything here."""
        raise NotImplementedError


@pytest.fixture
def desktop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desktop]:
    for name in KNOWN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    before, ring = keyring.get_keyring(), Desktop()
    keyring.set_keyring(ring)
    own.cache_clear()
    yield ring
    keyring.set_keyring(before)
    own.cache_clear()


async def test_the_keyring_is_asked_for_the_key_of_the_provider_in_use_and_off_the_event_loop(
    tmp_path: Path, desktop: Desktop
) -> None:
    desktop.passwords["OPENAI_API_KEY"] = dialects.KEY
    async with house(tmp_path) as here:
        await here.ok("usage_report")
        await here.ok("models_list")
        assert desktop.asked == []
        await here.ok("chat", message="Hello")
        await here.ok("chat", message="Hello again")
        assert desktop.asked == ["OPENAI_API_KEY"]
        assert threading.current_thread() not in desktop.threads
        await here.ok("chat", message="Hello", model="ollama/plain")
        assert desktop.asked == ["OPENAI_API_KEY"]


async def test_a_key_that_is_kept_after_a_call_failed_for_want_of_it_is_found_by_the_next(
    tmp_path: Path, desktop: Desktop
) -> None:
    async with house(tmp_path) as here:
        assert (await here.call("chat", message="Hello")).structured["code"] == "model_auth"
        desktop.passwords["OPENAI_API_KEY"] = dialects.KEY
        await here.ok("chat", message="Hello")


async def test_a_server_that_repeats_the_key_of_the_keyring_at_the_first_call_is_shown_without_it(
    tmp_path: Path, desktop: Desktop
) -> None:
    key = "of-the-desktop-0123456789"
    desktop.passwords["OPENAI_API_KEY"] = key
    async with house(tmp_path, models=("openai/status-401",)) as here:
        output = await here.call("chat", message="Hello")
    assert output.structured["code"] == "model_auth"
    assert key in here.openai.received[0].headers["authorization"]
    assert key not in output.text


async def test_voyage_is_called_with_the_key_of_the_keyring(tmp_path: Path, desktop: Desktop) -> None:
    desktop.passwords["VOYAGE_API_KEY"] = dialects.KEY
    voyage = Voyage()
    async with AsyncExitStack() as stack:
        base = await stack.enter_async_context(voyage.running())
        given: dict[str, Any] = {"embedding_models": ("voyage/plain",), "base_urls": {"voyage": f"{base}/v1"}}
        here = await stack.enter_async_context(house(tmp_path, **given))
        await here.ok("embed", texts=["a"])
        assert desktop.asked == ["VOYAGE_API_KEY"]
    (request,) = voyage.received
    assert dialects.KEY in request.headers["authorization"]
