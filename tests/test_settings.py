"""What a person sets, where it may be set, and what they are told when it cannot be right."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from racto.knowledge.errors import ConfigError
from racto.server.settings import Settings, config_file, load
from racto.tools import TOOLSETS


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of its own, and no setting from outside."""
    for name in [name for name in os.environ if name.startswith(("RACTO_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    return tmp_path


def write_config(home: Path, text: str) -> Path:
    path = home / ".config" / "racto" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_without_any_setting_everything_has_a_default(home: Path) -> None:
    loaded = load()
    assert loaded.settings.database == home / ".local" / "share" / "racto" / "racto.db"
    assert loaded.settings.roots == (home / "Documents",)
    assert loaded.settings.toolsets == tuple(TOOLSETS)
    assert (loaded.settings.transport, loaded.settings.host) == ("stdio", "127.0.0.1")
    assert set(loaded.sources.values()) == {"default"}
    assert set(loaded.sources) == set(Settings.model_fields)


def test_a_flag_beats_the_environment_which_beats_the_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_config(home, 'port = 1001\nhost = "::1"\nlog_level = "info"\n')
    monkeypatch.setenv("RACTO_PORT", "1002")
    monkeypatch.setenv("RACTO_HOST", "localhost")
    loaded = load({"port": 1003, "host": None})
    assert (loaded.settings.port, loaded.sources["port"]) == (1003, "the command line")
    assert (loaded.settings.host, loaded.sources["host"]) == ("localhost", "RACTO_HOST")
    assert (loaded.settings.log_level, loaded.sources["log_level"]) == ("info", str(path))


def test_lists_in_the_environment_are_split_as_the_platform_writes_them(
    monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    monkeypatch.setenv("RACTO_ROOTS", os.pathsep.join(["~/papers", str(home / "my, notes")]))
    monkeypatch.setenv("RACTO_TOOLSETS", "pages, prompts")
    settings = load().settings
    assert settings.roots == (home / "papers", home / "my, notes")
    assert settings.toolsets == ("pages", "prompts")


def test_a_relative_path_in_the_file_is_meant_from_the_file(home: Path) -> None:
    path = write_config(home, 'database = "data/racto.db"\nroots = ["papers", "~/other", "/abs"]\n')
    settings = load().settings
    assert settings.database == path.parent / "data" / "racto.db"
    assert settings.roots == (path.parent / "papers", home / "other", Path("/abs").absolute())


def test_an_empty_variable_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RACTO_TOKEN", "")
    assert load().settings.token is None


def test_a_key_the_file_should_not_hold_is_refused_with_the_nearest_name(home: Path) -> None:
    path = write_config(home, "prot = 1\n")
    with pytest.raises(ConfigError, match="Did you mean 'port'") as caught:
        load()
    assert str(path) in str(caught.value)


def test_a_variable_racto_does_not_know_is_told_with_the_nearest_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RACTO_ROOT", "/tmp")
    (warning,) = load().warnings
    assert "RACTO_ROOT " in warning
    assert "'RACTO_ROOTS'" in warning


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("RACTO_PORT", "eighty", "valid integer"),
        ("RACTO_PORT", "65536", "less than or equal to 65535"),
        ("RACTO_READ_ONLY", "perhaps", "valid boolean"),
        ("RACTO_TRANSPORT", "pigeon", "'stdio', 'sse' or 'http'"),
        ("RACTO_TOOLSETS", "pages,promts", "Did you mean 'prompts'"),
        ("RACTO_LOG_LEVEL", "loud", "'debug'"),
        ("RACTO_MAX_REQUEST_BYTES", "-1", "greater than"),
    ],
)
def test_a_wrong_value_is_refused_with_the_place_it_came_from(
    variable: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError, match=variable) as caught:
        load()
    assert said in str(caught.value)


def test_a_wrong_value_in_the_file_names_the_file(home: Path) -> None:
    path = write_config(home, "port = -5\n")
    with pytest.raises(ConfigError) as caught:
        load()
    assert str(path) in str(caught.value)
    assert "-5" in str(caught.value)


def test_the_line_end_of_a_token_from_a_file_is_no_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RACTO_TOKEN", "s3cret\n")
    token = load().settings.token
    assert token is not None
    assert token.get_secret_value() == "s3cret"
    monkeypatch.setenv("RACTO_TOKEN", " \n")
    with pytest.raises(ConfigError, match="RACTO_TOKEN"):
        load()


def test_a_token_is_never_shown(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RACTO_TOKEN", "s3cret-value")
    loaded = load()
    assert loaded.settings.token is not None
    assert loaded.settings.token.get_secret_value() == "s3cret-value"
    assert "s3cret-value" not in repr(loaded) + str(loaded.settings.model_dump(mode="json"))
    monkeypatch.delenv("RACTO_TOKEN")
    write_config(home, "token = 12345678\n")
    with pytest.raises(ConfigError) as caught:
        load()
    assert "12345678" not in str(caught.value)


@pytest.mark.parametrize("text", ["port = ", "port 8000", "[[[", "port = 1\nport = 2\n"])
def test_a_broken_file_is_refused_with_the_line(home: Path, text: str) -> None:
    path = write_config(home, text)
    with pytest.raises(ConfigError, match=r"line 1|line 2|end of document") as caught:
        load()
    assert str(path) in str(caught.value)


def test_a_file_that_was_named_must_be_there(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("RACTO_CONFIG", str(home / "none.toml"))
    with pytest.raises(ConfigError, match=r"none\.toml"):
        load()
    (home / "none.toml").write_bytes(b"\xef\xbb\xbfport = 9\r\n")
    assert load().settings.port == 9
    assert config_file() == home / "none.toml"


def test_bytes_that_are_no_text_are_refused_as_a_config_file(home: Path) -> None:
    write_config(home, "").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="UTF-8"):
        load()


def test_every_setting_says_what_it_is_for() -> None:
    assert len(Settings.model_fields) > 5
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name


texts = st.text("aé09 ,:/~\0\n-", max_size=9)


@given(
    st.dictionaries(st.sampled_from(sorted(Settings.model_fields)), texts | st.integers() | st.none() | st.lists(texts))
)
def test_whatever_is_given_settings_are_valid_or_refused_by_name(values: dict[str, object]) -> None:
    given_names = {name for name, value in values.items() if value is not None}
    refusal = ""
    try:
        sources = load(values).sources
    except ConfigError as error:
        refusal = str(error)
    if refusal:
        assert any(f"The setting {name} from the command line" in refusal for name in given_names)
    else:
        assert {name for name, source in sources.items() if source != "default"} == given_names
