"""Help for parameters, from the docstrings people write."""

from __future__ import annotations

import inspect
import re

from hypothesis import given, settings
from hypothesis import strategies as st
from racto.agents.docstrings import parse_docstring

REST = """Find pages.

    The best come first.

    :param query: What to look for,
        in plain words
    :param int limit: How many: at most 50
    that go on here
    :type query: str
    :arg dict[str, int] weights: See :func:`rank`
    :returns: Pages
    :raises ValueError: never
    """

GOOGLE = """Find pages.

    The best come first.

    Args:
        query (str): What to look for,
            in plain words
        limit (int, optional): How many: at most 50
          that go on here

        weights (dict[str, tuple(int)]): See :func:`rank`
        **rest: Ignored

    Returns:
        pages: the pages
    """

NUMPY = """Find pages.

    The best come first.

    Parameters
    ----------
    query : str
        What to look for,
        in plain words
    limit, offset : int, optional
        How many: at most 50

        that go on here
    weights : dict of {str: int}
        See :func:`rank`

    Returns
    -------
    pages : list
        the pages
    """


def test_parameter_help_is_read_from_rest_google_and_numpy_docstrings() -> None:
    for docstring in (REST, GOOGLE, NUMPY):
        description, helps = parse_docstring(docstring)
        assert description == "Find pages.\n\nThe best come first."
        assert helps["query"] == "What to look for, in plain words"
        assert helps["limit"] == "How many: at most 50 that go on here"
        assert helps["weights"] == "See :func:`rank`"
        assert "pages" not in helps


def test_names_that_share_a_line_share_its_help() -> None:
    assert parse_docstring(NUMPY)[1]["offset"] == parse_docstring(NUMPY)[1]["limit"]


def test_star_arguments_lose_their_stars() -> None:
    assert parse_docstring(GOOGLE)[1]["rest"] == "Ignored"


def test_a_docstring_without_parameters_is_all_description() -> None:
    text = "Note: this is text.\n\nArgs are nice, and so is\nReturns\nbut: no section is here.\n"
    assert parse_docstring(text) == (text.strip(), {})


def test_no_docstring_says_nothing() -> None:
    assert parse_docstring(None) == ("", {})
    assert parse_docstring("  \n ") == ("", {})


def test_text_after_the_fields_is_not_part_of_the_last_one() -> None:
    assert parse_docstring("Do.\n\n:param x: The x.\n\nMore text.")[1] == {"x": "The x."}


def test_google_parameters_end_where_the_indentation_ends() -> None:
    assert parse_docstring("Do.\n\nArgs:\n    x: The x.\ny: no parameter")[1] == {"x": "The x."}


NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)
HELPS = st.from_regex(r"[A-Za-z0-9,.()`' ]{0,30}[a-z.]", fullmatch=True).map(lambda text: " ".join(text.split()))
PARAMETERS = st.dictionaries(NAMES, HELPS.filter(bool), max_size=5)


def rest(helps: dict[str, str]) -> str:
    return "\n".join(f":param {name}: {text}" for name, text in helps.items())


def google(helps: dict[str, str]) -> str:
    return "Args:\n" + "\n".join(f"    {name} (int): {text}" for name, text in helps.items())


def numpy(helps: dict[str, str]) -> str:
    return "Parameters\n----------\n" + "\n".join(f"{name} : int\n    {text}" for name, text in helps.items())


@settings(deadline=None)
@given(helps=PARAMETERS, style=st.sampled_from([rest, google, numpy]), indentation=st.sampled_from(["", "    ", "\t"]))
def test_what_was_written_is_what_is_read(helps: dict[str, str], style: object, indentation: str) -> None:
    assert callable(style)
    lines = f"Does it.\n\n{style(helps)}\n".splitlines()
    written = "\n".join([lines[0], *(indentation + line if line else line for line in lines[1:])])
    description, read = parse_docstring(written)
    assert read == helps
    if helps:
        assert description == "Does it."


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                "Args:",
                "  x: y",
                ":param a b: c",
                "Parameters",
                "-----",
                "z : int",
                "",
                "    text",
                ":type:",
                "Returns:",
                ": :",
                "::",
            ]
        ),
        max_size=12,
    ).map("\n".join)
)
def test_no_docstring_is_too_strange(text: str) -> None:
    description, helps = parse_docstring(text)
    assert inspect.cleandoc(text).lstrip().startswith(description)
    assert all(re.fullmatch(r"\S+", name) and "\n" not in help_ for name, help_ in helps.items())
