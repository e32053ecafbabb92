"""Where a database is: connection strings and their parts."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from racto.knowledge.errors import ConfigError, RactoError
from racto.tools.sql.engines import Target
from racto.tools.sql.targets import target_of, target_of_parts
from sqlalchemy.engine import URL, make_url

TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20)


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("postgresql://ann:pw@db.example:5433/shop", Target("postgresql", "shop", "db.example", 5433, "ann", "pw")),
        ("postgresql+psycopg2://ann@db/shop", Target("postgresql", "shop", "db", None, "ann")),
        ("postgres://db/shop", Target("postgresql", "shop", "db")),
        ("postgresql://ann:p%40ss%2Fw%3Ard@db/shop", Target("postgresql", "shop", "db", None, "ann", "p@ss/w:rd")),
        ("postgresql://ann:p@ss@db/shop", Target("postgresql", "shop", "db", None, "ann", "p@ss")),
        ("postgresql://ann:@/shop?host=/run/postgresql", Target("postgresql", "shop", "/run/postgresql", None, "ann")),
        ("postgresql://db/shop?sslmode=require", Target("postgresql", "shop", "db", options={"sslmode": "require"})),
        ("postgresql://[::1]:5432/shop", Target("postgresql", "shop", "::1", 5432)),
        (
            "mysql+pymysql://ann:pw@db/shop?charset=utf8mb4",
            Target("mysql", "shop", "db", None, "ann", "pw", options={"charset": "utf8mb4"}),
        ),
        ("mariadb://ann@db:3307/shop", Target("mysql", "shop", "db", 3307, "ann")),
        (
            "mysql://ann@/shop?unix_socket=/run/my.sock",
            Target("mysql", "shop", "", None, "ann", options={"unix_socket": "/run/my.sock"}),
        ),
        ("sqlite:///folder/file.db", Target("sqlite", "folder/file.db")),
        ("sqlite:////folder/my%20file.db", Target("sqlite", "/folder/my file.db")),
        ("sqlite://", Target("sqlite", ":memory:")),
        ("sqlite:///:memory:", Target("sqlite", ":memory:")),
        ("duckdb:///file.duckdb", Target("duckdb", "file.duckdb")),
        ("  SQLite:///file.db ", Target("sqlite", "file.db")),
    ],
)
def test_a_connection_string_names_a_target(text: str, target: Target) -> None:
    assert target_of(text) == target


@pytest.mark.parametrize(
    "text",
    [
        "",
        "shop.db",
        "oracle://ann:hunter22@db/shop",
        "ann:hunter22@db/shop",
        "postgresql://ann:hunter22@db:port/shop",
        "postgresql://ann:hunter22@db:99999/shop",
        "postgresql://ann:hunt/er22@db/shop",
        "postgresql://ann:hunter22@a,b/shop",
        "postgresql://ann:hunter22@[::1/shop",
        "sqlite://folder/hunter22.db",
        "sqlite:///file:hunter22?mode=rw",
    ],
)
def test_what_is_no_connection_string_is_said_without_the_password(text: str) -> None:
    with pytest.raises(ConfigError) as raised:
        target_of(text)
    assert raised.value.hint
    assert "er22" not in str(raised.value)


def test_a_target_is_not_printed_with_its_password() -> None:
    assert "hunter22" not in repr(target_of("postgresql://ann:hunter22@db/shop?password=hunter22"))


@given(TEXT, TEXT)
def test_a_string_sqlalchemy_wrote_is_read_as_sqlalchemy_reads_it(user: str, password: str) -> None:
    url = URL.create("postgresql", user or None, password or None, "db", 5432, "shop")
    read = make_url(url.render_as_string(hide_password=False))
    target = target_of(url.render_as_string(hide_password=False))
    assert (target.username, target.password) == (read.username or "", read.password or "")


@given(st.text(max_size=60), st.text(min_size=6, max_size=12))
def test_whatever_text_comes_it_is_a_target_or_one_of_our_errors(text: str, secret: str) -> None:
    for candidate in (text, f"postgresql://u:{quote_plus(secret)}@{text}", f"mysql://{text}"):
        with suppress(RactoError):  # any other error fails
            assert isinstance(target_of(candidate), Target)


def test_parts_make_a_target_with_the_defaults_of_their_database() -> None:
    assert target_of_parts(database="shop") == Target("postgresql", "shop", "localhost", 5432)
    assert target_of_parts(database="shop", driver="mysql+pymysql").port is None
    assert target_of_parts(database="shop", driver="mariadb", port=3307).port == 3307
    assert target_of_parts(database="f.db", driver="sqlite") == Target("sqlite", "f.db")
    with pytest.raises(ConfigError, match="name of the database"):
        target_of_parts(host="db")
    with pytest.raises(ConfigError, match="'oracle'"):
        target_of_parts(database="shop", driver="oracle")
