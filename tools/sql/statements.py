"""SQL text to a tree of sqlglot and back: text checks, exactly one query, every call as it was written.

Imports sqlglot; `guard` imports this when it first checks a query.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Any

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import ErrorLevel, ParseError, SqlglotError, TokenError
from sqlglot.parser import Parser
from sqlglot.tokenizer_core import Token, TokenType

from ...knowledge.errors import QueryRefusedError, ReadOnlyViolationError
from .guard_names import QUERY_WORDS, STATEMENT_WORDS

MAX_CHARACTERS = 100_000
"""Of a statement; a longer one is not read at all."""

MAX_TOKENS = 20_000
MAX_DEPTH = 24
"""How deep brackets and `CASE` may nest; of 37,000 real queries the deepest that runs nests 7 levels."""

MAX_LISTS = 8
"""How deep `[…]`, `{…}` and calls that could be a type (`ROW(…)`, `DATE(…)`) may nest: each level takes sqlglot twice as long."""

MAX_OPEN_JOINS = 10
"""Joins in a row without `ON` or `USING`: sqlglot takes twice as long for each further one."""

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_UNICODE_NAME = re.compile(r"""\bu&\s*["`]""", re.IGNORECASE)

_OPENING = {TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE, TokenType.CASE}
_CLOSING = {TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE, TokenType.END}
# Names sqlglot has a grammar of its own for, which a plain call of them does not need and does not survive unchanged.
_PLAIN_CALLS = {
    "APPROX_QUANTILE", "ARG_MAX", "ARG_MIN", "CEIL", "CHR", "DATE_PART", "DECODE", "FLOOR", "INITCAP", "JSON_AGG", "MAX", "MAX_BY",
    "MIN", "MIN_BY", "QUANTILE", "QUANTILE_CONT", "QUANTILE_DISC", "SUBSTR",
}  # fmt: skip
_MARK = "\x01"
"""Before such a name no grammar knows it; no query can hold this sign."""

_NUMERIC = {
    exp.DataType.Type[name]
    for name in ("DECIMAL", "BIGDECIMAL", "BOOLEAN", "DATE", "DATETIME", "TIMESTAMP", "TIME", "TIMESTAMPTZ")
}
_AFTER_LIMIT = {
    TokenType.R_PAREN,
    TokenType.OFFSET,
    TokenType.COMMA,
    TokenType.UNION,
    TokenType.EXCEPT,
    TokenType.INTERSECT,
}
_TWICE = {TokenType.L_BRACKET, TokenType.L_BRACE}
_AFTER_JOIN = {TokenType.ON, TokenType.USING, TokenType.CROSS, TokenType.SELECT}
_STRINGS = {TokenType.STRING, TokenType.NATIONAL_STRING, TokenType.RAW_STRING, TokenType.HEREDOC_STRING}
# Operators that nest without a bracket: a run of them is as deep as it is long.
_PREFIXES = {
    TokenType.NOT,
    TokenType.DASH,
    TokenType.PLUS,
    TokenType.TILDE,
    TokenType.RLIKE,
    TokenType.INTERVAL,
    TokenType.PARAMETER,
}


def read(sql: str, dialect: str) -> exp.Expr:
    """The tree of the one query a text holds; functions in it are `Anonymous`, with the name as written.

    :raises QueryRefusedError: the text is no query, or more than one.
    :raises ReadOnlyViolationError: it is another statement than a query.
    """
    _check_text(sql)
    sql = _unfenced(sql)
    tokens = _one_statement(_tokens(sql, dialect), dialect)
    _check_shape(tokens)
    if dialect != "duckdb":
        tokens = _bracket_limits(tokens)
    return _parsed(tokens, sql, dialect)


def _unfenced(sql: str) -> str:
    """The query in a Markdown fence, as models like to give it; any other text as it is."""
    text = sql.strip()
    first, newline, rest = text.partition("\n")
    if newline and first.startswith("```") and (first == "```" or first[3:].strip().isalnum()) and rest.endswith("```"):
        return rest[:-3]
    return sql


def write(tree: exp.Expr, dialect: str) -> str:
    """The tree as one line of SQL, without comments; the tree may be changed by it."""
    if dialect == "mysql":
        _as_mariadb_reads(tree)
    try:
        generator = _dialect(dialect).generator(
            comments=False, normalize_functions=False, unsupported_level=ErrorLevel.RAISE
        )
        return str(generator.generate(tree, copy=False))
    except (SqlglotError, RecursionError, ValueError) as error:
        raise _syntax(error) from None


def reread(sql: str, dialect: str) -> exp.Expr:
    """The tree of what `write` gave; only its syntax is looked at again.

    :raises QueryRefusedError: it is not one statement.
    """
    return _parsed(_one_statement(_tokens(sql, dialect), dialect), sql, dialect)


@cache
def _dialect(name: str) -> Dialect:
    return Dialect.get_or_raise(name)


def _as_mariadb_reads(tree: exp.Expr) -> None:
    """`a REGEXP b` stays an operator: sqlglot writes REGEXP_LIKE, which MariaDB does not have."""
    for node in reversed(list(tree.find_all(exp.RegexpLike))):
        sides = [
            side if isinstance(side, (exp.Column, exp.Literal, exp.Anonymous, exp.Paren)) else exp.Paren(this=side)
            for side in (node.this, node.expression)
        ]
        text = exp.Var(
            this=" REGEXP ".join(side.sql("mysql", comments=False, normalize_functions=False) for side in sides)
        )
        node.replace(text if isinstance(node.parent, exp.Paren) else exp.Paren(this=text))


def _check_text(sql: str) -> None:
    if len(sql) > MAX_CHARACTERS:
        raise QueryRefusedError(
            f"The query has {len(sql):,} characters, and {MAX_CHARACTERS:,} are read.",
            "Ask a shorter one.",
            rule="size",
        )
    if found := _CONTROL.search(sql):
        raise QueryRefusedError(
            f"There is a control character (code {ord(found[0])}) in the query.",
            "Leave it out.",
            rule="control_character",
        )
    try:
        sql.encode()
    except UnicodeEncodeError:
        raise QueryRefusedError(
            "The query is no text in Unicode.", "Send it as UTF-8.", rule="control_character"
        ) from None


def _tokens(sql: str, dialect: str) -> list[Token]:
    try:
        tokens: list[Token] = _dialect(dialect).tokenize(sql)
    except SqlglotError as error:
        raise _syntax(error) from None
    if len(tokens) > MAX_TOKENS:
        raise QueryRefusedError(
            f"The query has {len(tokens):,} words and signs, and {MAX_TOKENS:,} are read.",
            "Ask a shorter one.",
            rule="size",
        )
    if dialect == "postgres" and _UNICODE_NAME.search(sql):
        _refuse_unicode_names(tokens)
    before = ""
    for token in tokens:
        if token.comments:
            if dialect == "mysql" and any(comment.lstrip("Mm").startswith("!") for comment in token.comments):
                raise QueryRefusedError(
                    "MySQL runs what stands in a comment that begins with !.", "Leave the comment out.", rule="comment"
                )
            token.comments.clear()
        if not token.text.isascii() and token.token_type not in _STRINGS:
            _check_characters(token.text)
        if token.token_type is TokenType.R_PAREN and before != "NULLS":  # IGNORE NULLS is written for known calls only
            # What stands in brackets after a name stays a call of that name: sqlglot would translate the ones it knows.
            token.comments.append(exp.SQLGLOT_ANONYMOUS)
        before = token.text.upper()
    return _without_lambdas(tokens) if dialect == "duckdb" else tokens


def _without_lambdas(tokens: list[Token]) -> list[Token]:
    """`f(((payload)) -> 'items')`: what an arrow takes out of a value is no lambda, which sqlglot takes it for after a lone name."""
    found: list[Token] = []
    for at, token in enumerate(tokens):
        arrow = tokens[at + 1 : at + 3]
        if (
            len(arrow) == 2
            and arrow[0].token_type is TokenType.ARROW
            and arrow[1].token_type in (TokenType.STRING, TokenType.NUMBER)
            and at
            and tokens[at - 1].token_type in (TokenType.L_PAREN, TokenType.COMMA)
        ):
            opening, closing = (Token(TokenType.L_PAREN, "("), Token(TokenType.R_PAREN, ")"))
            found += [opening, opening, token, closing, closing]
        else:
            found.append(token)
    return found


def _refuse_unicode_names(tokens: Sequence[Token]) -> None:
    for one, two, three in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if (
            one.text in ("U", "u")
            and two.text == "&"
            and three.token_type is TokenType.IDENTIFIER
            and two.end + 1 == three.start
        ):
            raise QueryRefusedError("A name is written with U& escapes.", "Write the name itself.", rule="encoding")


def _check_characters(text: str) -> None:
    for character in text:
        if unicodedata.category(character) in ("Cf", "Cc", "Co", "Cn"):
            raise QueryRefusedError(
                f"There is an invisible character (U+{ord(character):04X}) in the query.",
                "Leave it out.",
                rule="control_character",
            )


def _one_statement(tokens: list[Token], dialect: str) -> list[Token]:
    statements: list[list[Token]] = [[]]
    for token in tokens:
        if token.token_type is TokenType.SEMICOLON:
            statements.append([])
        else:
            statements[-1].append(token)
    statements = [statement for statement in statements if statement]
    if not statements:
        raise QueryRefusedError("There is no query.", "Send one SELECT.", rule="empty")
    for statement in statements:
        _check_first_word(statement, dialect, alone=len(statements) == 1)
    if dialect == "mysql" and any(token.token_type is TokenType.INTO for token in statements[0]):
        raise ReadOnlyViolationError(
            "SELECT INTO writes.", "Leave the clause out; a query only reads.", rule="read_only"
        )
    if len(statements) > 1:
        raise QueryRefusedError(
            f"There are {len(statements)} statements.",
            "Send one query, without anything after it.",
            rule="several_statements",
        )
    return statements[0]


def _check_first_word(statement: Sequence[Token], dialect: str, *, alone: bool) -> None:
    word = statement[0].text.upper().partition(" ")[0]
    if statement[0].token_type is not TokenType.IDENTIFIER and word in QUERY_WORDS[dialect]:
        return
    if word in STATEMENT_WORDS:
        raise ReadOnlyViolationError(
            f"{word} is no query.",
            "Only queries are run: one SELECT, which changes nothing. The schema is read with its own tool.",
            rule="read_only" if alone else "several_statements",
        )
    if alone:
        raise QueryRefusedError(
            f"A query does not begin with {statement[0].text[:40]!r}.",
            "Send one SELECT and nothing else.",
            rule="syntax",
        )


def _check_shape(tokens: Sequence[Token]) -> None:
    """Refuse what would take a parser too deep, or into trying twice on each level."""
    open_: list[bool] = []  # of each bracket that is open, whether sqlglot reads its content twice
    run = joins = indexed = pivots = 0
    before: TokenType | None = None
    for token in tokens:
        kind = token.token_type
        if kind in _OPENING:
            open_.append(kind in _TWICE or (kind is TokenType.L_PAREN and before in Parser.TYPE_TOKENS))
        elif kind in _CLOSING and open_:
            open_.pop()
        if kind is TokenType.JOIN:
            joins += 1
        elif kind in _AFTER_JOIN:
            joins = 0
        run = run + 1 if kind in _PREFIXES else 0
        indexed += kind is TokenType.L_BRACKET and before is TokenType.R_BRACKET
        pivots += kind in (TokenType.PIVOT, TokenType.UNPIVOT)
        before = kind
        if max(len(open_), run, indexed) > MAX_DEPTH or max(sum(open_), pivots) > MAX_LISTS:
            raise _too_deep()
        if joins > MAX_OPEN_JOINS:
            raise QueryRefusedError(
                "Too many joins in a row have no condition.", "Write ON or USING after each JOIN.", rule="size"
            )


def _too_deep() -> QueryRefusedError:
    return QueryRefusedError(
        "The query nests too deep.",
        f"At most {MAX_DEPTH} levels of brackets, {MAX_LISTS} of lists and pivots; use WITH.",
        rule="size",
    )


def _bracket_limits(tokens: list[Token]) -> list[Token]:
    """`LIMIT 7 % 4` as `LIMIT (7 % 4)`: sqlglot takes the sign for a percentage, which only DuckDB has."""
    if not any(token.token_type is TokenType.MOD for token in tokens):
        return tokens
    found: list[Token] = []
    depth = 0
    limits: list[int] = []  # the depths at which a limit is being read
    for token in tokens:
        kind = token.token_type
        if limits and limits[-1] == depth and kind in _AFTER_LIMIT:
            found.append(Token(TokenType.R_PAREN, ")"))
            limits.pop()
        depth += (kind is TokenType.L_PAREN) - (kind is TokenType.R_PAREN)
        found.append(token)
        if kind is TokenType.LIMIT:
            found.append(Token(TokenType.L_PAREN, "("))
            limits.append(depth)
    return found + [Token(TokenType.R_PAREN, ")") for _ in limits]


def _parsed(tokens: list[Token], sql: str, dialect: str) -> exp.Expr:
    marked = False
    for name, bracket in pairwise(tokens):
        if bracket.token_type is TokenType.L_PAREN and name.text.upper() in _PLAIN_CALLS:
            name.text = _MARK + name.text
            marked = True
    try:
        trees: list[Any] = _dialect(dialect).parser(error_level=ErrorLevel.IMMEDIATE).parse(tokens, sql)
    except (SqlglotError, RecursionError, ValueError) as error:
        raise _syntax(error) from None
    if len(trees) != 1 or trees[0] is None:
        raise QueryRefusedError("There is not exactly one query.", "Send one SELECT.", rule="several_statements")
    tree: exp.Expr = trees[0]
    if marked:
        for call in tree.find_all(exp.Anonymous):
            call.set(
                "this",
                exp.Identifier(this=call.name.lstrip(_MARK), quoted=True)
                if isinstance(call.this, exp.Expr)
                else call.name.lstrip(_MARK),
            )
    if dialect == "sqlite":
        _as_sqlite_means(tree)
    return tree


def _as_sqlite_means(tree: exp.Expr) -> None:
    for node in tree.find_all(exp.Join, exp.DataType):
        if isinstance(node, exp.DataType):
            # Only the affinity counts, and sqlglot would change it.
            if node.this in _NUMERIC:
                node.replace(
                    exp.DataType(this=exp.DataType.Type.USERDEFINED, kind=exp.Identifier(this="NUMERIC", quoted=False))
                )
        elif (
            isinstance(node, exp.Join) and node.kind == "CROSS" and not (node.args.get("on") or node.args.get("using"))
        ):
            # sqlglot reads a comma as CROSS JOIN, which tells SQLite not to reorder the tables.
            node.set("kind", None)


def _syntax(error: Exception) -> QueryRefusedError:
    if isinstance(error, RecursionError):
        return _too_deep()
    where = ""
    if isinstance(error, ParseError) and error.errors:
        first = error.errors[0]
        where = f" at line {first.get('line')}, column {first.get('col')}, near {str(first.get('highlight'))[:60]!r}"
    elif isinstance(error, TokenError):
        where = ": a text or a name in quotes has no end"
    return QueryRefusedError(
        f"The query cannot be parsed{where}.", "Check its syntax for this database.", rule="syntax"
    )
