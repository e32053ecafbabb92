"""The text in pictures and scans: found where Tesseract is installed, and a clear word about it where it is not."""

from __future__ import annotations

import io
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont
from racto.knowledge import ocr
from racto.knowledge.documents import Document
from racto.knowledge.errors import NoTextError, ReadError
from racto.knowledge.readers import read_document
from racto.knowledge.readers.image import ImageReader
from racto.knowledge.readers.pdf import PdfReader

from .files import pdf_bytes, written

DATA = Path(__file__).parents[2] / "shared" / "data" / "retrieval" / "readers_dev" / "markitdown" / "test_files"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"the shared collections are not at {DATA}")
needs_tesseract = pytest.mark.skipif(not ocr.is_available(), reason=f"Tesseract is not installed. {ocr.INSTALL}")


def picture(text: str, mode: str = "L", size: tuple[int, int] = (900, 300)) -> Image.Image:
    """Black words on white."""
    image = Image.new(mode, size, "white")
    ImageDraw.Draw(image).multiline_text((40, 40), text, font=ImageFont.load_default(48), fill="black", spacing=24)
    return image


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def scan(image: Image.Image) -> bytes:
    """The content of a PDF page that is nothing but this picture, as a scanner leaves it."""
    width, height = image.size
    return b"q 612 0 0 %d 0 400 cm BI /W %d /H %d /BPC 8 /CS /G ID %b EI Q" % (
        612 * height // width, width, height, image.convert("L").tobytes()
    )  # fmt: skip


@needs_tesseract
@pytest.mark.parametrize(("kind", "extension"), [("PNG", ".png"), ("JPEG", ".jpg"), ("GIF", ".gif"), ("TIFF", ".tif"), ("WEBP", ".webp"), ("BMP", ".bmp")])  # fmt: skip
def test_the_words_in_a_picture_are_read_in_order(kind: str, extension: str) -> None:
    document = read_document(saved(picture("The copper kettle\nsings at dawn"), kind), name=f"a{extension}")
    assert document.content.split() == ["The", "copper", "kettle", "sings", "at", "dawn"]
    assert document.metadata == {"format": kind, "width": 900, "height": 300}
    assert "OCR" in document.notes[0]


@needs_tesseract
def test_words_on_a_transparent_ground_and_on_their_side_are_read() -> None:
    clear = picture("Copper kettle").convert("RGBA")
    clear.putalpha(clear.convert("L").point(lambda level: 255 - level))
    assert read_document(saved(clear, "PNG"), name="a.png").content == "Copper kettle"
    exif = Image.Exif()
    exif[274] = 6  # turn it by 90 degrees to see it as it was
    side = picture("Copper kettle").rotate(90, expand=True)
    assert read_document(saved(side, "JPEG", exif=exif), name="a.jpg").content == "Copper kettle"


@needs_tesseract
def test_the_pages_of_a_tiff_are_pages() -> None:
    pages = [picture("First page"), Image.new("L", (900, 300), "white"), picture("Third page")]
    document = read_document(saved(pages[0], "TIFF", save_all=True, append_images=pages[1:]), name="a.tiff")
    assert [(page.number, document.content[page.start : page.end]) for page in document.pages] == [
        (1, "First page"),
        (3, "Third page"),
    ]
    assert document.metadata["page_count"] == 3


@needs_tesseract
def test_a_picture_without_words_holds_no_text() -> None:
    with pytest.raises(NoTextError):
        read_document(saved(Image.new("RGB", (300, 300), "green"), "PNG"), name="a.png")


def test_what_a_picture_says_about_itself_needs_no_ocr(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    exif = Image.Exif()
    exif[270], exif[315] = "A kettle on the stove", "A. Photographer"
    document = ImageReader().read(written(tmp_path / "a.jpg", saved(Image.new("RGB", (20, 10)), "JPEG", exif=exif)))
    assert document.content == "A kettle on the stove"
    assert document.metadata == {
        "format": "JPEG",
        "width": 20,
        "height": 10,
        "description": "A kettle on the stove",
        "author": "A. Photographer",
    }
    assert "apt install tesseract-ocr" in document.notes[0]


def test_a_missing_tesseract_is_told_with_how_to_install_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ReadError, match="is not installed") as caught:
        ImageReader().read(written(tmp_path / "a.png", saved(picture("words"), "PNG")))
    assert "apt install tesseract-ocr" in caught.value.hint
    assert not isinstance(caught.value, NoTextError)  # which would be remembered: it shall be tried again
    with pytest.raises(NoTextError, match="scan") as caught:
        PdfReader().read(written(tmp_path / "a.pdf", pdf_bytes([None])))
    assert "apt install tesseract-ocr" in caught.value.hint
    document = PdfReader().read(written(tmp_path / "b.pdf", pdf_bytes(["text", None])))
    assert document.notes == ["There is no text on page 2; scans would need OCR."]


@needs_tesseract
def test_only_pages_without_text_are_read_by_ocr() -> None:
    data = pdf_bytes(["typed words", scan(picture("Copper kettle")), None])
    document = read_document(data, name="a.pdf")
    assert [(page.number, document.content[page.start : page.end]) for page in document.pages] == [
        (1, "typed words"),
        (2, "Copper kettle"),
    ]
    assert document.notes == [
        "Read by OCR, where letters may be wrong: page 2.",
        "There is no text on page 3; OCR found none.",
    ]


@needs_tesseract
def test_a_language_that_is_not_installed_is_told_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ocr.LANGUAGES_VARIABLE, "xxx")
    grey = picture("words")
    with pytest.raises(ReadError, match="no language data for 'xxx'") as caught:
        ocr.recognise(ocr.Picture(*grey.size, grey.tobytes()))
    assert "--list-langs" in caught.value.hint


@pytest.mark.skipif(sys.platform == "win32", reason="a program made here is a shell script")
class TestAProgramThatMisbehaves:
    def install(self, folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Put a program of that name first on the path."""
        program = written(folder / "tesseract", f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def read(self) -> Document:
        return read_document(pdf_bytes(["typed", scan(picture("words"))]), name="a.pdf")

    def test_one_that_fails_costs_only_the_pages_it_fails_over(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.install(tmp_path, "cat > /dev/null; echo 'out of ink' >&2; exit 3", monkeypatch)
        document = PdfReader().read(written(tmp_path / "a.pdf", pdf_bytes(["typed", scan(picture("words"))])))
        assert document.content == "typed"
        assert document.notes == [
            "There is no text on page 2; OCR failed (Tesseract failed over a picture (out of ink))."
        ]

    def test_one_that_hangs_is_ended(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.install(tmp_path, "exec tail -f /dev/null", monkeypatch)
        monkeypatch.setattr(ocr, "PAGE_SECONDS", 0.3)
        grey = picture("words")
        with pytest.raises(ReadError, match="too long"):
            ocr.recognise(ocr.Picture(*grey.size, grey.tobytes()))

    @pytest.mark.skipif(sys.platform != "linux", reason="needs pidfd_open")
    @pytest.mark.parametrize("end", ["close", "kill the reader", "kill the parent"])
    def test_one_that_hangs_does_not_outlive_who_waits_for_it(
        self, end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.install(tmp_path, f"echo $$ > {tmp_path}/started; exec tail -f /dev/null", monkeypatch)
        os.mkfifo(tmp_path / "started")
        file = written(tmp_path / "a.pdf", pdf_bytes([scan(picture("words"))]))
        program = f"""
import sys, threading
from pathlib import Path
from racto.knowledge.readers.isolation import Worker
from racto.knowledge.readers.pdf import PdfReader
worker = Worker()
def read():
    try: worker.read(PdfReader(), Path({str(file)!r}))
    except Exception: pass
threading.Thread(target=read, daemon=True).start()
for line in sys.stdin:
    print(worker.pid, flush=True)
    if line == "close\\n": worker._process.stop()
"""
        paths = os.pathsep.join(entry for entry in sys.path if entry)
        with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": paths}, text=True) as parent:  # fmt: skip
            assert parent.stdin
            assert parent.stdout
            hanging = os.pidfd_open(number_from(tmp_path / "started"))
            parent.stdin.write("close\n" if end == "close" else "go on\n")
            parent.stdin.flush()
            reader = int(parent.stdout.readline())
            if end != "close":
                os.kill(reader if end == "kill the reader" else parent.pid, signal.SIGKILL)
            ended, _, _ = select.select([hanging], [], [], 10)
            os.close(hanging)
            parent.kill()
        assert ended, "the program goes on"


def number_from(fifo: Path) -> int:
    """The number somebody writes into a pipe."""
    pipe = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
    ready, _, _ = select.select([pipe], [], [], 20)
    assert ready, "nothing was started"
    number = int(os.read(pipe, 100))
    os.close(pipe)
    return number


@needs_tesseract
@needs_data
def test_the_words_in_a_drawing_of_a_real_program_are_read() -> None:
    assert "5bda1dd6" in read_document(DATA / "test_llm.jpg").content


@needs_tesseract
def test_a_dense_page_at_print_resolution_fits_into_the_memory_a_file_may_take() -> None:
    lines = "\n".join(f"Line {number} of a page that is full of words" for number in range(40))
    document = read_document(saved(picture(lines, size=(2480, 3508)), "PNG"), name="a.png")
    assert "Line 39 of a page" in document.content
