"""Personal data and secrets in a text: found by their shape, and by their checksum where they have one."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Found:
    """A stretch of a text that should not be trained on.

    :param kind: `email`, `phone`, `card`, `iban`, `ip`, `us_ssn`, `private_key` or `api_key`.
    :param start: Where it begins, in characters; `end` is behind its last one.
    """

    kind: str
    start: int
    end: int


def luhn(text: str) -> bool:
    """Whether the digits of a text end in their check digit (ISO/IEC 7812-1, annex B) and are as many as a card has."""
    digits = [int(each) for each in text if each.isdigit()]
    doubled = (digit if at % 2 == 0 else sum(divmod(2 * digit, 10)) for at, digit in enumerate(reversed(digits)))
    return 13 <= len(digits) <= 19 and len(set(digits)) > 1 and sum(doubled) % 10 == 0


def iban(text: str) -> bool:
    """Whether a text is an IBAN with right check digits (ISO 13616: mod 97)."""
    plain = text.replace(" ", "").upper()
    number = "".join(str(int(each, 36)) for each in plain[4:] + plain[:4])
    return 15 <= len(plain) <= 34 and int(number) % 97 == 1


def _address(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).is_global
    except ValueError:
        return False


def _phone(text: str) -> bool:
    return 9 <= sum(each.isdigit() for each in text) <= 15


def _any(_: str) -> bool:
    return True


_KEYS = r"""sk-[A-Za-z0-9_-]{20,}|AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36,}|github_pat_\w{22,}|AIza[\w-]{35}|xox[abprs]-[\w-]{10,}
|hf_[A-Za-z0-9]{30,}|glpat-[\w-]{20,}|[rs]k_live_[A-Za-z0-9]{20,}|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}"""

# In this order: what an earlier one has found, a later one does not read again. The second is what must stand in the text at all.
_SHAPES: tuple[tuple[str, str, re.Pattern[str], Callable[[str], bool]], ...] = (
    (
        "private_key",
        "-----",
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?:.*?-----END [A-Z ]*PRIVATE KEY-----)?", re.DOTALL),
        _any,
    ),
    ("api_key", "", re.compile(rf"(?<![A-Za-z0-9])(?:{_KEYS})", re.ASCII | re.VERBOSE), _any),
    ("email", "@", re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[\w-]{1,63}\.)+[A-Za-z]{2,24}\b"), _any),
    ("iban", "", re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"), iban),
    ("card", "", re.compile(r"(?<![\d-])\d(?:[ -]?\d){12,18}(?![\d-])", re.ASCII), luhn),
    ("us_ssn", "-", re.compile(r"(?<![\d-])(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\d-])", re.ASCII), _any),
    ("ip", ".", re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?!\.?\d)", re.ASCII), _address),
    ("phone", "", re.compile(r"(?<![\w+])(?:\+\d{1,3}[ .-]?)(?:\(?\d{1,4}\)?[ .-]?){2,5}\d(?!\w)", re.ASCII), _phone),
    ("phone", "-", re.compile(r"(?<![\w-])\(?\d{3}\)?[ -]\d{3}-\d{4}(?![\w-])", re.ASCII), _phone),
)


def find(text: str) -> Iterator[Found]:
    """What is private in a text; no two of them overlap."""
    taken: list[Found] = []
    for kind, needed, shape, right in _SHAPES:
        if needed not in text:
            continue
        for match in shape.finditer(text):
            start, end = match.span()
            if right(match[0]) and not any(start < each.end and each.start < end for each in taken):
                taken.append(Found(kind, start, end))
    yield from sorted(taken, key=lambda each: each.start)


def redacted(text: str) -> str:
    """A text with its kind in the place of everything private: `[EMAIL]`."""
    for each in reversed(list(find(text))):
        text = f"{text[: each.start]}[{each.kind.upper()}]{text[each.end :]}"
    return text
