"""Databases in the settings: what may be written, what it means, and what is never shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from racto.knowledge.errors import ConfigError
from racto.server.cli import main
from racto.server.database_settings import DatabaseSettings
from racto.server.databases import databases, target_of
from racto.server.settings import Settings, load


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "config" / "config.toml"
    path.parent.mkdir()
    monkeypatch.setenv("RACTO_CONFIG", str(path))
    return path


def test_the_environment_names_databases_by_address(monkeypatch: pytest.MonkeyPatch, config: Path) -> None:
    config.write_text("")
    monkeypatch.setenv(
        "RACTO_SQL_DATABASES",
        "shop=/data/shop.db, sales=postgresql://me@box/sales?sslmode=require, old=mariadb://me@box/old",
    )
    settings = load().settings
    assert settings.sql_databases["shop"].url == "/data/shop.db"
    listed = [(one.name, one.engine) for one in databases(settings).listed]
    assert listed == [("shop", "SQLite"), ("sales", "PostgreSQL"), ("old", "MySQL or MariaDB")]


def test_the_settings_are_shown_with_each_database_as_its_address(
    monkeypatch: pytest.MonkeyPatch, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(
        '[sql_databases]\nshop = "/data/shop.db"\n[sql_databases.logs]\nfiles = {visits = "/data/*.csv"}\n'
    )
    assert main(["config"]) == 0
    shown = capsys.readouterr().out
    assert "shop=/data/shop.db, logs=/data/*.csv" in shown
    assert max(map(len, shown.splitlines())) < 250


def test_paths_of_the_config_file_are_relative_to_it(config: Path) -> None:
    config.write_text(
        """
        [sql_databases]
        plain = "shop.db"
        [sql_databases.full]
        url = "data/shop.duckdb"
        semantics = "shop.yaml"
        [sql_databases.logs]
        files = { visits = "logs/*.csv" }
        """
    )
    found = load().settings.sql_databases
    assert found["plain"].url == str(config.parent / "shop.db")
    assert found["full"].semantics == config.parent / "shop.yaml"
    assert target_of("logs", found["logs"]).files == {"visits": str(config.parent / "logs/*.csv")}


@pytest.mark.parametrize(
    ("url", "engine"),
    [
        ("/d/a.db", "sqlite"),
        ("/d/a", "sqlite"),
        ("/d/a.duckdb", "duckdb"),
        ("/d/a.csv", "duckdb"),
        ("/d/A.PARQUET", "duckdb"),
        ("mysql://me@box/a", "mysql"),
        ("mariadb://me@box/a", "mysql"),
        ("postgres://me@box/a", "postgresql"),
    ],
)
def test_an_address_tells_the_engine(url: str, engine: str) -> None:
    assert target_of("a", DatabaseSettings(url=url)).engine == engine


@pytest.mark.parametrize(
    "url", ["postgresql://box:5432/a?user=me@corp", "postgresql://me@box:5432/a", "mysql://[::1]:3306/a?user=me@corp"]
)
def test_a_port_or_a_name_with_an_at_sign_is_no_password(url: str) -> None:
    assert DatabaseSettings(url=url).url == url


def test_a_file_becomes_a_table_of_its_name() -> None:
    assert target_of("a", DatabaseSettings(url="/d/my visits-2026.csv")).files == {
        "my_visits_2026": "/d/my visits-2026.csv"
    }


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:hunter2@box/a",
        "mysql://box/a?password=hunter2",
        "x://u:hunter2@h",
        "mysql://me:hun?hunter2@box/a",
        "mysql://me:hun/hunter2#@box/a",
    ],
)
def test_a_password_in_an_address_is_refused_and_not_repeated(
    url: str, monkeypatch: pytest.MonkeyPatch, config: Path
) -> None:
    config.write_text("")
    monkeypatch.setenv("RACTO_SQL_DATABASES", f"sales={url}")
    with pytest.raises(ConfigError, match="racto keys set NAME_PASSWORD") as refused:
        load()
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[sql_databases.a]\n", "either url or files"),
        ('[sql_databases.a]\nurl = "a.db"\nfiles = { t = "t.csv" }', "either url or files"),
        (
            '[sql_databases.a]\nurl = "a.db"\nmask_column = ["x"]',
            r"sql_databases.a.mask_column from .* does not exist. Did you mean 'mask_columns'",
        ),
        ('[sql_databases."A b"]\nurl = "a.db"', "lower-case letters"),
        ('sql_databases = "a.db"', "sql_databases"),
    ],
)
def test_what_cannot_be_a_database_is_refused(text: str, said: str, config: Path) -> None:
    config.write_text(text)
    with pytest.raises(ConfigError, match=said):
        load()


def test_an_address_of_no_engine_is_refused_when_the_server_starts() -> None:
    with pytest.raises(ConfigError, match="no database engine"):
        databases(Settings(sql_databases={"a": {"url": "oracle://box/a"}}))


def test_without_databases_there_are_none() -> None:
    assert databases(Settings()).listed == []
