from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from racto.knowledge.errors import ConfigError
from racto.server.security import (
    LOOPBACK_NAMES,
    LOOPBACK_ORIGINS,
    AddressGuard,
    Place,
    TokenGuard,
    check_exposure,
    is_loopback,
    listening_names,
)
from starlette.types import Message, Receive, Scope, Send

names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?(\.[a-z0-9]{1,5}){0,2}", fullmatch=True) | st.ip_addresses(
    v=6
).map(lambda address: f"[{address}]")
ports = st.integers(1, 65535)


async def _welcome(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"{}"})


def respond(app: Any, *headers: tuple[str, str]) -> tuple[int, dict[str, str], Any]:
    """Status, headers and JSON of a GET."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "headers": [(k.lower().encode(), v.encode("latin-1")) for k, v in headers],
    }
    asyncio.run(app(scope, receive, send))
    start, body = sent
    return start["status"], {k.decode(): v.decode() for k, v in start["headers"]}, json.loads(body["body"])


def status(hosts: list[str], *headers: tuple[str, str], origins: tuple[str, ...] = LOOPBACK_ORIGINS) -> int:
    return respond(AddressGuard(_welcome, hosts=hosts, origins=origins), *headers)[0]


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8000", "LocalHost:1", "localhost.", "127.0.0.1:80", "[::1]", "[::1]:8000"]
)
def test_every_way_to_write_loopback_is_accepted(host: str) -> None:
    assert status(list(LOOPBACK_NAMES), ("Host", host)) == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "evil-localhost",
        "127.0.0.1.evil.example:8000",
        "127.0.0.2",
        "[::2]:8000",
        "::1",
        "localhost:80:80",
        "localhost@evil.example",
        "",
        " ",
    ],
)
def test_every_other_host_is_refused(host: str) -> None:
    guard = AddressGuard(_welcome, hosts=LOOPBACK_NAMES, origins=LOOPBACK_ORIGINS)
    code, _, body = respond(guard, ("Host", host))
    assert code == 421
    assert "RACTO_ALLOWED_HOSTS" in body["hint"]


def test_a_request_without_a_host_or_with_two_is_refused() -> None:
    assert status(list(LOOPBACK_NAMES)) == 421
    assert status(list(LOOPBACK_NAMES), ("Host", "localhost"), ("Host", "evil.example")) == 421


@given(names, ports, ports)
def test_a_listed_name_is_every_port_and_a_listed_port_only_that(name: str, port: int, other: int) -> None:
    assert Place(name).admits(Place(f"{name}:{port}"))
    assert Place(f"{name}:{port}").admits(Place(f"{name}:{port}"))
    assert Place(f"{name}:{port}").admits(Place(f"{name}:{other}")) == (port == other)
    assert not Place(f"{name}:{port}").admits(Place(name))


@given(names, names)
def test_no_name_stands_for_another(one: str, other: str) -> None:
    assert Place(one).admits(Place(other)) == (one == other)
    assert not Place(one).admits(Place(f"{one}.{other}".replace("[", "").replace("]", "")))


@pytest.mark.parametrize(
    "origin", ["http://localhost:6274", "http://127.0.0.1", "HTTP://LOCALHOST:1", "http://[::1]:3000"]
)
def test_pages_of_this_machine_may_call(origin: str) -> None:
    assert status(["localhost"], ("Host", "localhost"), ("Origin", origin)) == 200


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "http://localhost.evil.example", "null", "", "file://", "localhost", "https://localhost"],
)
def test_pages_from_elsewhere_may_not(origin: str) -> None:
    assert status(["localhost"], ("Host", "localhost"), ("Origin", origin)) == 403


def test_a_listed_origin_may_call_from_its_port_only() -> None:
    origins = ("https://app.example:8443", "https://any.example/")
    for origin, expected in {
        "https://app.example:8443": 200,
        "https://app.example": 403,
        "http://app.example:8443": 403,
        "https://any.example:1": 200,
        "https://any.example": 200,
    }.items():
        assert status(["localhost"], ("Host", "localhost"), ("Origin", origin), origins=origins) == expected


def test_an_origin_that_is_none_is_a_wrong_setting() -> None:
    with pytest.raises(ConfigError, match="https://name"):
        AddressGuard(_welcome, hosts=[], origins=["app.example"])


def test_the_right_token_opens() -> None:
    guard = TokenGuard(_welcome, "s3cret")
    assert respond(guard, ("Authorization", "Bearer s3cret"))[0] == 200
    assert respond(guard, ("Authorization", "bearer  s3cret "))[0] == 200
    assert respond(TokenGuard(_welcome, None))[0] == 200
    spoken = "пароль à"
    assert (
        respond(TokenGuard(_welcome, spoken), ("Authorization", f"Bearer {spoken}".encode().decode("latin-1")))[0]
        == 200
    )


@pytest.mark.parametrize(
    "given",
    [
        "Bearer wrong",
        "Bearer s3cret2",
        "Bearer s3cre",
        "s3cret",
        "Basic s3cret",
        "Bearer",
        "",
        "Bearer s3cr\xe9t",
        "\xff s3cret",
    ],
)
def test_any_other_token_is_refused_with_what_to_send(given: str) -> None:
    code, headers, body = respond(TokenGuard(_welcome, "s3cret"), ("Authorization", given))
    assert code == 401
    assert headers["www-authenticate"] == 'Bearer realm="racto", error="invalid_token"'
    assert "s3cret" not in json.dumps(body)


def test_a_missing_token_is_asked_for() -> None:
    code, headers, body = respond(TokenGuard(_welcome, "s3cret"))
    assert (code, headers["www-authenticate"]) == (401, 'Bearer realm="racto"')
    assert "Authorization: Bearer" in body["hint"]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("", False),
        ("192.0.2.1", False),
    ],
)
def test_loopback_is_told_from_the_rest(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_without_a_token_only_loopback_may_be_listened_on() -> None:
    check_exposure("127.0.0.1", None)
    check_exposure("0.0.0.0", "s3cret")
    for host, token in (("0.0.0.0", None), ("::", ""), ("192.0.2.1", None)):
        with pytest.raises(ConfigError, match="RACTO_TOKEN"):
            check_exposure(host, token)


def test_listening_everywhere_trusts_no_more_names_than_listening_here() -> None:
    assert listening_names("0.0.0.0") == listening_names("::") == LOOPBACK_NAMES
    assert "192.0.2.1" in listening_names("192.0.2.1")
    assert "[2001:db8::1]" in listening_names("2001:db8::1")
