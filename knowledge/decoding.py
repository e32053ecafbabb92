"""Bytes as text: which encoding they are in, and whether they are text at all."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from .errors import UnsupportedError

_BOMS = (  # the longer first: UTF-32's begins with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SIGNATURES = (
    (b"%PDF-", "a PDF", ".pdf"),
    (b"PK\x03\x04", "a ZIP archive or an Office document", ".docx"),
    (b"\xd0\xcf\x11\xe0", "an old Office document", ""),
    (b"\x89PNG", "a PNG image", ""),
    (b"\xff\xd8\xff", "a JPEG image", ""),
    (b"GIF8", "a GIF image", ""),
    (b"\x1f\x8b", "a gzip archive", ""),
    (b"7z\xbc\xaf", "a 7-Zip archive", ""),
    (b"\x7fELF", "a program", ""),
    (b"MZ", "a Windows program", ""),
    (b"SQLite format 3", "an SQLite database", ""),
)
_LEGACY = (  # encoding, what its languages are full of, the least share of that among the characters beyond ASCII
    ("cp932", re.compile("[ぁ-んァ-ヶー]+"), 0.25),
    ("gb18030", re.compile("[的一是不了人在有我他这中大来上国个到说们为和地也]"), 0.05),
    ("big5", re.compile("[的一是不了人在有我他這中大來上國個到說們為和地也]"), 0.05),
    ("cp949", re.compile("[가-힣]+"), 0.6),
    ("cp1251", re.compile("[А-яЁё]{3,}"), 0.6),
)
_CONTROLS = bytes(code for code in range(32) if code not in b"\t\n\v\f\r\x1b")
_SAMPLE = 65_536


def read_text(path: Path) -> tuple[str, list[str]]:
    """A text file decoded, and what to tell whoever reads it.

    :raises UnsupportedError: it is binary; the message says what it looks like.
    """
    data = path.read_bytes()
    refuse_binary(data, path.name)
    return decode(data)


def refuse_binary(data: bytes, name: str) -> None:
    """Raise when `data` is not text.

    :raises UnsupportedError: naming what it looks like.
    """
    if _unicode_form(data):
        return
    sample = data[:_SAMPLE]
    controls = len(sample) - len(sample.translate(None, _CONTROLS))
    # A log or terminal capture holds a stray control character; a NUL, or one in fifty, is no text.
    if not data.startswith(b"%PDF-") and b"\0" not in data and controls <= len(sample) // 50:
        return
    looks, extension = next((kind for magic, *kind in _SIGNATURES if data.startswith(magic)), ("binary data", ""))
    hint = f"If it is, rename it to end in {extension}." if extension else "Convert it to text, or leave it out."
    raise UnsupportedError(f"{name} is not text: it looks like {looks}.", hint)


def decode(data: bytes, declared: str | None = None) -> tuple[str, list[str]]:
    """Bytes as text with line ends as `\\n`, and notes on what had to be guessed.

    :param declared: The encoding the file itself names; used where the bytes are not valid Unicode.
    """
    notes = []
    if encoding := _unicode_form(data):
        text = data.decode(encoding, errors="replace")
    else:
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            encoding = declared or _legacy_encoding(data[:_SAMPLE])
            text = data.decode(encoding, errors="replace")
            if not declared:
                notes.append(f"The text is not UTF-8; it was read as {encoding}, which is a guess.")
    return text.replace("\r\n", "\n").replace("\r", "\n"), notes


def _unicode_form(data: bytes) -> str | None:
    """The form of Unicode a byte order mark tells, or the NULs of UTF-16 without a mark."""
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return encoding
    sample = data[:_SAMPLE]
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if len(data) % 2 == 0 and max(even, odd) > len(sample) // 5 and min(even, odd) <= max(even, odd) // 20:
        return "utf-16-le" if odd > even else "utf-16-be"
    return None


def _legacy_encoding(sample: bytes) -> str:
    """The older encoding whose reading of the sample looks most like a language."""
    if _is_kanji(sample):
        return "cp932"
    for encoding, typical, share in _LEGACY:
        try:
            text = codecs.getincrementaldecoder(encoding)().decode(sample)
        except UnicodeDecodeError:
            continue
        foreign = sum(not char.isascii() for char in text)
        if sum(map(len, typical.findall(text))) > share * foreign:
            return encoding
    return "cp1252"


def _is_kanji(sample: bytes) -> bool:
    """Whether it is Japanese without kana, as names and addresses are: no Western text, and nearly all of it everyday kanji (JIS level 1)."""
    try:
        text = codecs.getincrementaldecoder("cp932")().decode(sample)
    except UnicodeDecodeError:
        return False
    foreign = [char for char in text if not char.isascii()]
    return sum(0x88 <= char.encode("cp932")[0] <= 0x97 for char in foreign) > 0.8 * len(foreign)
