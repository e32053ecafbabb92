"""Pictures: the text in them by OCR, and what the file says about itself (EXIF, PNG comments)."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import ocr
from ..documents import Document, DocumentBuilder, PageSpan
from ..errors import ReadError
from . import TOO_BIG, BaseReader

if TYPE_CHECKING:
    from PIL.Image import Image

_FORMATS = {
    "PNG": [".png"],
    "JPEG": [".jpg", ".jpeg"],
    "GIF": [".gif"],
    "TIFF": [".tif", ".tiff"],
    "WEBP": [".webp"],
    "BMP": [".bmp"],
    "MPO": [],  # what some cameras write as JPEG
}
_MOST_PIXELS = 50_000_000
"""Of one picture; decoded in colour it takes three or four bytes a pixel."""
_MOST_PAGES = 200
_EXIF = {270: "description", 271: "maker", 272: "camera", 315: "author", 306: "date", 36867: "date", 33432: "copyright"}
_EXIF_FOLDER = 0x8769
_COMMENTS = {"Title": "title", "Author": "author", "Description": "description"}


class ImageReader(BaseReader):
    """Reads PNG, JPEG, GIF, TIFF, WebP and BMP."""

    isolated = True

    @property
    def supported_extensions(self) -> frozenset[str]:
        """`.png`, `.jpg`, `.jpeg`, `.gif`, `.tif`, `.tiff`, `.webp` and `.bmp`."""
        return frozenset(extension for extensions in _FORMATS.values() for extension in extensions)

    def read(self, path: Path) -> Document:
        """The description somebody wrote, then the words in the picture; the pages of a TIFF are pages.

        :raises ReadError: there is no description, and no Tesseract to look for words; or the picture is damaged or too large.
        """
        try:
            from PIL import Image, UnidentifiedImageError
        except ImportError:
            raise ReadError(
                f"{path.name} cannot be read: Pillow is not installed.", "Run `pip install 'racto[rag-image]'`."
            ) from None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # our limits are narrower than Pillow's, and damaged EXIF is left out
            try:
                with Image.open(path, formats=list(_FORMATS)) as image:
                    return self._document(image, path)
            except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
                raise ReadError(
                    f"{path.name} is not a picture, or a truncated or damaged one ({type(error).__name__}).",
                    "Open it in a picture viewer and save it anew.",
                ) from None

    def _document(self, image: Image, path: Path) -> Document:
        metadata: dict[str, Any] = {"format": image.format, "width": image.width, "height": image.height}
        metadata |= _said(image)
        description = metadata.get("description", "")
        count = min(getattr(image, "n_frames", 1), _MOST_PAGES) if image.format == "TIFF" else 1
        builder = DocumentBuilder()
        pages: list[PageSpan] = []
        notes: list[str] = []
        if description and not ocr.is_available():
            builder.add(description)
            notes.append(f"The text in it was not looked for. {ocr.INSTALL}")
        else:
            for number, picture in enumerate(_pictures(image, count, path.name), 1):
                words = ocr.recognise(picture)
                if text := f"{description if number == 1 else ''}\n\n{words}".strip():
                    pages.append(PageSpan(number, *builder.add(text)))
                if words and not notes:
                    notes.append("The text was read by OCR; letters may be wrong.")
                self.on_progress(number, count)
        if count > 1:
            metadata["page_count"] = count
        kind = f"image/{str(image.format).lower()}"
        return Document(builder.content, str(path), metadata, kind, pages if count > 1 else [], notes=notes)


def _pictures(image: Image, count: int, name: str) -> Iterator[ocr.Picture]:
    """The pages as grey pictures, upright, on white, of a size that can be read."""
    from PIL import Image as Module
    from PIL import ImageOps

    for place in range(count):
        image.seek(place)
        pixels = image.width * image.height
        if pixels > _MOST_PIXELS:
            raise ReadError(f"{name} has {image.width:,} × {image.height:,} pixels.", TOO_BIG)
        longest = math.ceil(max(image.size) * min(1.0, math.sqrt(ocr.MOST_PIXELS / pixels)))
        image.draft("L", (longest, longest))  # decodes a JPEG in grey, and smaller where it is too large
        page = ImageOps.exif_transpose(image)
        if "A" in page.getbands() or "transparency" in page.info:
            coloured = page.convert("RGBA")
            page = Module.new("RGBA", coloured.size, "white")
            page.alpha_composite(coloured)
        grey = page.convert("L")
        grey.thumbnail((longest, longest))
        yield ocr.Picture(*grey.size, grey.tobytes())


def _said(image: Image) -> dict[str, str]:
    """What the file says about itself, without what cannot be read."""
    exif = image.getexif()
    values = {**dict(exif), **dict(exif.get_ifd(_EXIF_FOLDER))}
    said = {name: values[tag] for tag, name in _EXIF.items() if tag in values}
    said |= {name: image.info[comment] for comment, name in _COMMENTS.items() if comment in image.info}
    return {name: text for name, value in said.items() if (text := " ".join(str(value).replace("\0", " ").split()))}
