"""Where secrets are looked up and kept, and that nothing anybody can read ever holds one."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import sys
import threading
import tomllib
import traceback
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from racto.agents import providers
from racto.agents.budget import Budget
from racto.agents.gateway import ModelGateway
from racto.agents.retry import RetryConfig
from racto.agents.routing import Endpoint
from racto.agents.telemetry import RactoTracer, Telemetry
from racto.knowledge.database import Database
from racto.knowledge.errors import AccessError, ConfigError, InputError, RactoGatewayError, UnknownNameError
from racto.knowledge.keyvalue.sqlite import SQLiteKeyValue
from racto.knowledge.vocabulary import ChatConfig
from racto.server.secrets import KNOWN, Kept, ScrubbingFormatter, Secrets

from tests import dialects
from tests.dialects.openai import OpenAI

CANARY = "racto-canary-secret-8461"
posix = pytest.mark.skipif(sys.platform == "win32", reason="modes say nothing on Windows")


class Ring:
    """A keyring with one key in it."""

    def __init__(self, **passwords: str) -> None:
        self.passwords = passwords

    def get_password(self, service_name: str, username: str) -> str | None:
        assert service_name == "racto"
        return self.passwords.get(username)


class LockedRing:
    """A keyring nobody opens."""

    asked = 0

    def get_password(self, service_name: str, username: str) -> str | None:
        self.asked += 1
        raise RuntimeError("locked")


def secrets(folder: Path, ring: Any = None, **environ: str) -> Secrets:
    return Secrets(folder / "racto" / "secrets.toml", environ=environ, keyring=ring or Ring())


def test_a_keyring_that_nobody_opens_is_asked_once_and_not_for_every_name(tmp_path: Path) -> None:
    ring = LockedRing()
    kept = secrets(tmp_path, ring)
    assert [kept.get(name) for name in KNOWN] == [None] * len(KNOWN)
    assert kept.list() == ()
    assert ring.asked == 1


def test_the_environment_goes_before_the_file_and_the_file_before_the_keyring(tmp_path: Path) -> None:
    ring = Ring(OPENAI_API_KEY="of-the-ring", VOYAGE_API_KEY="of-the-ring")
    kept = secrets(tmp_path, ring)
    assert kept.get("OPENAI_API_KEY") == "of-the-ring"
    kept.set("OPENAI_API_KEY", "of-the-file")
    assert kept.get("OPENAI_API_KEY") == "of-the-file"
    both = secrets(tmp_path, ring, OPENAI_API_KEY="of-the-environment", HF_TOKEN="hf-of-the-environment")
    assert both.get("OPENAI_API_KEY") == "of-the-environment"
    assert both.get("NOBODY_HAS_THIS") is None
    assert kept.list() == (Kept("OPENAI_API_KEY", "file"), Kept("VOYAGE_API_KEY", "keyring"))
    assert [each.place for each in both.list()] == ["environment", "environment", "keyring"]


def test_a_keyring_that_does_not_open_has_nothing(tmp_path: Path) -> None:
    assert secrets(tmp_path, LockedRing()).get("OPENAI_API_KEY") is None


@posix
def test_the_file_is_private_from_its_first_moment(tmp_path: Path) -> None:
    kept = secrets(tmp_path)
    before = os.umask(0)
    try:
        kept.set("OPENAI_API_KEY", CANARY)
    finally:
        os.umask(before)
    assert kept.path.stat().st_mode & 0o777 == 0o600
    assert kept.path.parent.stat().st_mode & 0o777 == 0o700
    assert [each.name for each in kept.path.parent.iterdir()] == ["secrets.toml"]


@posix
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o700, 0o644])
def test_a_file_others_can_read_is_refused_with_the_command_that_mends_it(tmp_path: Path, mode: int) -> None:
    kept = secrets(tmp_path)
    kept.set("OPENAI_API_KEY", CANARY)
    kept.path.chmod(mode)
    for attempt in (lambda: kept.get("OPENAI_API_KEY"), lambda: kept.set("A", "bbbbbbbb"), kept.list):
        with pytest.raises(AccessError) as refused:
            attempt()
        assert f"chmod 600 {kept.path}" in str(refused.value)
        assert CANARY not in str(refused.value)
    # The environment needs no file.
    assert secrets(tmp_path, OPENAI_API_KEY="x" * 8).get("OPENAI_API_KEY") == "x" * 8


def test_a_deleted_secret_is_gone_and_the_others_stay_as_they_were_written(tmp_path: Path) -> None:
    kept = secrets(tmp_path)
    kept.set("A_KEY", "aaaaaaaa")
    kept.path.write_text("# mine\nA_KEY = 'aaaaaaaa' # first\nB_KEY = \"bbbbbbbb\"\n", encoding="utf-8")
    kept.set("B_KEY", "changed")
    assert kept.path.read_text(encoding="utf-8") == "# mine\nA_KEY = 'aaaaaaaa' # first\nB_KEY = \"changed\"\n"
    kept.delete("A_KEY")
    assert kept.path.read_text(encoding="utf-8") == '# mine\nB_KEY = "changed"\n'
    with pytest.raises(UnknownNameError, match="A_KEY"):
        kept.delete("A_KEY")


@given(
    st.dictionaries(
        st.from_regex(r"[A-Z_][A-Z0-9_]{0,8}", fullmatch=True), st.text(min_size=1).filter(str.strip), max_size=4
    )
)
def test_every_value_is_read_back_as_it_was_kept(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, str]
) -> None:
    kept = secrets(tmp_path_factory.mktemp("secrets"))
    for name, value in values.items():
        kept.set(name, value)
    for name, value in values.items():
        assert kept.get(name) == value.strip()
    if values:
        assert tomllib.loads(kept.path.read_text(encoding="utf-8")).keys() == values.keys()


def test_a_value_of_several_lines_survives_a_change_beside_it(tmp_path: Path) -> None:
    kept = secrets(tmp_path)
    kept.set("PEM_KEY", "first\nB_KEY = no\nlast")
    kept.path.write_text('PEM_KEY = """first\nB_KEY = no\nlast"""\n', encoding="utf-8")
    kept.set("B_KEY", "bbbbbbbb")
    assert kept.get("PEM_KEY") == "first\nB_KEY = no\nlast"
    assert kept.get("B_KEY") == "bbbbbbbb"


@pytest.mark.parametrize("name", ["", "A B", "A=B", "1A", "Ä"])
def test_a_name_no_environment_could_have_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="name of a secret"):
        secrets(tmp_path).set(name, CANARY)
    with pytest.raises(InputError, match="empty"):
        secrets(tmp_path).set("A_KEY", " ")


@pytest.mark.parametrize("text", [f'A_KEY = "{CANARY}', f'A_KEY = ["{CANARY}"]', f'[{CANARY}]\nx = "y"', f"{CANARY} 1"])
def test_a_broken_file_is_refused_without_showing_what_is_in_it(tmp_path: Path, text: str) -> None:
    kept = secrets(tmp_path)
    kept.set("A_KEY", "aaaaaaaa")
    kept.path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        kept.get("A_KEY")
    shown = "".join(traceback.format_exception(refused.value))
    assert f'"{CANARY}"' not in shown
    assert "secrets.toml" in shown


def test_scrubbing_knows_secrets_of_every_place_in_every_writing(tmp_path: Path) -> None:
    odd = 'a/b+"c" ü&=%'
    kept = secrets(tmp_path, Ring(VOYAGE_API_KEY="of-the-ring"), SOME_PASSWORD=odd, HOME="/home/anna", PIN="1234")
    kept.set("OPENAI_API_KEY", CANARY)
    fresh = secrets(tmp_path, Ring(VOYAGE_API_KEY="of-the-ring"), SOME_PASSWORD=odd, HOME="/home/anna", PIN="1234")
    fresh.get("VOYAGE_API_KEY")
    text = f"{CANARY} of-the-ring {odd} {json.dumps(odd)} a%2Fb%2B%22c%22%20%C3%BC%26%3D%25 /home/anna 1234"
    assert fresh.scrub(text) == '*** *** *** "***" *** /home/anna 1234'


def test_a_log_holds_no_secret_not_even_in_a_traceback(tmp_path: Path) -> None:
    kept = secrets(tmp_path)
    kept.set("OPENAI_API_KEY", CANARY)
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(ScrubbingFormatter(secrets(tmp_path), logging.Formatter("%(levelname)s %(message)s")))
    logger = logging.Logger("canary")
    logger.addHandler(handler)
    logger.info("sent %s", {"authorization": f"Bearer {CANARY}"})
    try:
        int(CANARY)
    except ValueError:
        logger.exception("failed")
    assert CANARY not in written.getvalue()
    assert "with base 10: '***'" in written.getvalue()


def test_many_threads_may_look_up_and_scrub_at_once(tmp_path: Path) -> None:
    kept = secrets(tmp_path)
    for number in range(20):
        kept.set(f"K{number}_KEY", f"{CANARY}-{number}")
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for _ in range(20):
                assert kept.get(f"K{number}_KEY") == f"{CANARY}-{number}"
                assert kept.scrub(f"<{CANARY}-{number}>") == "<***>"
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_a_planted_key_is_nowhere_after_calls_of_every_kind(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Canaries: 0 hits in answers, errors, logs, traces and the database, though the server repeats the key it was sent."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    telemetry = Telemetry(RactoTracer(provider, content=True))
    database = Database(tmp_path / "racto.db")
    shown: list[str] = []

    async def calls() -> None:
        from racto.agents.caches import ExactMatchCache  # numpy comes with it

        server = OpenAI()
        async with server.running() as base:
            openai = providers.make("openai", api_key=CANARY, base_url=f"{base}/v1")
            cache = ExactMatchCache(store=SQLiteKeyValue(database, namespace="answers"))
            for scenario in ("plain", "status-401", "status-429", "status-500", "malformed-json", "cut-before", "html"):
                gateway = ModelGateway(
                    chain=[Endpoint(openai, scenario)],
                    exact_cache=cache,
                    budget=Budget(database),
                    telemetry=telemetry,
                    retry=RetryConfig(max_attempts=1),
                )
                try:
                    shown.append(repr(await gateway.chat(ChatConfig(user_message="Hello?"))))
                except RactoGatewayError as error:
                    shown.append("".join(traceback.format_exception(error)) + repr(error.as_dict()))
            await openai.aclose()
        assert len(server.received) == 7
        assert all(f"Bearer {CANARY}" == each.headers["authorization"] for each in server.received)

    with caplog.at_level(logging.DEBUG):
        asyncio.run(calls())
    provider.shutdown()
    with database.reading() as connection:
        assert connection.execute("SELECT count(*) FROM keyvalue").fetchone()[0] == 1
        assert connection.execute("SELECT count(*) FROM usage").fetchone()[0] == 7
    database.close()
    assert len(exporter.get_finished_spans()) == 7
    places = {
        "answers and errors": "\n".join(shown),
        "logs": caplog.text,
        "traces": "\n".join(span.to_json() for span in exporter.get_finished_spans()),
        "database": "".join(file.read_bytes().decode("latin-1") for file in tmp_path.iterdir()),
    }
    assert dialects.TEXT.splitlines()[-1] in places["answers and errors"]
    assert all(places.values())
    assert {place: text.count(CANARY) for place, text in places.items()} == dict.fromkeys(places, 0)
