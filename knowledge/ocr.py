"""Reading the text in a picture with Tesseract, a program of its own that the person installs.

It is handed only pictures that were decoded here and packed as netpbm, so its own decoders meet no stranger's file.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass

from .errors import ReadError

LANGUAGES_VARIABLE = "RACTO_OCR_LANGUAGES"
"""Environment variable with the languages of scans as Tesseract names them, such as `eng+deu`; without it, English."""
INSTALL = (
    "Install Tesseract (`apt install tesseract-ocr`, `brew install tesseract`, `winget install UB-Mannheim.TesseractOCR`), "
    "then read it again."
)
PAGE_SECONDS = 25.0
"""The longest time for one picture; a page of a book takes about a second."""
MOST_PIXELS = 12_000_000
"""Larger pictures are made smaller first: an A4 page at 300 dots per inch has 8.7 million."""
_SPACE_AT_END = re.compile(r"[ \t]+\n")
_EMPTY_LINES = re.compile(r"\n{3,}")


@dataclass(frozen=True, slots=True)
class Picture:
    """A grey picture.

    :param pixels: One byte each, row by row, 0 is black.
    :param dpi: Dots per inch; 0 when unknown.
    """

    width: int
    height: int
    pixels: bytes
    dpi: int = 0


def is_available() -> bool:
    """Whether the program is installed."""
    return shutil.which("tesseract") is not None


def recognise(picture: Picture) -> str:
    """The words in the picture in reading order, lines and paragraphs as they stand; empty when there are none.

    :raises ReadError: the program is missing, lacks the language, fails or takes too long.
    """
    program = shutil.which("tesseract")
    if program is None:
        raise ReadError("Tesseract, which reads the text in pictures, is not installed.", INSTALL)
    if picture.pixels.count(picture.pixels[:1]) == len(picture.pixels):
        return ""  # a blank page
    languages = os.environ.get(LANGUAGES_VARIABLE, "eng")
    command = [program, "stdin", "stdout", "-l", languages]
    command += ["--dpi", str(picture.dpi)] if picture.dpi else []
    try:
        answer = subprocess.run(  # noqa: S603 - the program of the person, with a picture we made
            command,
            input=b"P5 %d %d 255\n%b" % (picture.width, picture.height, picture.pixels),
            capture_output=True,
            timeout=PAGE_SECONDS,
            check=False,
            env={**os.environ, "OMP_THREAD_LIMIT": "1"},  # its threads wait for each other most of the time
        )
    except subprocess.TimeoutExpired:
        raise ReadError("The text in a picture takes too long to read.", "Crop it, or make it smaller.") from None
    if answer.returncode:
        reason = answer.stderr.decode(errors="replace").strip().split("\n")[-1][:200]
        if b"Failed loading language" in answer.stderr or b"couldn't load any languages" in answer.stderr:
            raise ReadError(
                f"Tesseract has no language data for {languages!r}.",
                f"Install it (`apt install tesseract-ocr-deu` for German), or set {LANGUAGES_VARIABLE} to one of `tesseract --list-langs`.",
            )
        raise ReadError(f"Tesseract failed over a picture ({reason or answer.returncode}).", "Convert it to PNG.")
    text = _SPACE_AT_END.sub("\n", answer.stdout.decode(errors="replace").replace("\f", "\n"))
    return _EMPTY_LINES.sub("\n\n", text).strip()
