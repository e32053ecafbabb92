"""Workbooks: XLSX and its kin, legacy XLS, ODS; with calamine."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from ..documents import Document, DocumentBuilder
from ..errors import EncryptedError, ReadError
from ..tabular import write_rows
from . import TOO_BIG, BaseReader

if TYPE_CHECKING:
    from python_calamine import CalamineSheet

_MIME_TYPES = {
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".xlsm": "application/vnd.ms-excel.sheet.macroEnabled.12",
    ".xlsb": "application/vnd.ms-excel.sheet.binary.macroEnabled.12",
    ".xls": "application/vnd.ms-excel",
    ".ods": "application/vnd.oasis.opendocument.spreadsheet",
}
_MOST_CELLS = 5_000_000
"""Cells of a sheet, empty ones too: between a cell in each corner there may be 17 billion."""

Cell = int | float | str | bool | time | date | datetime | timedelta


class SpreadsheetReader(BaseReader):
    """Reads workbooks; the name of each sheet heads its rows."""

    isolated = True

    @property
    def supported_extensions(self) -> frozenset[str]:
        """`.xlsx`, `.xlsm`, `.xlsb`, `.xls` and `.ods`."""
        return frozenset(_MIME_TYPES)

    def read(self, path: Path) -> Document:
        """The visible sheets; values of formulas as they were when it was saved."""
        import python_calamine as calamine

        builder = DocumentBuilder()
        hidden: list[str] = []
        try:
            with calamine.CalamineWorkbook.from_path(str(path)) as book:
                for done, sheet in enumerate(book.sheets_metadata, 1):
                    if sheet.typ != calamine.SheetTypeEnum.WorkSheet:
                        continue
                    if sheet.visible == calamine.SheetVisibleEnum.Visible:
                        _write(book.get_sheet_by_name(sheet.name), builder, path.name)
                    else:
                        hidden.append(sheet.name)
                    self.on_progress(done, len(book.sheets_metadata))
        except calamine.PasswordError:
            raise EncryptedError(
                f"{path.name} needs a password to be opened.", "Save a copy without the password and read that."
            ) from None
        except (calamine.CalamineError, OSError) as error:
            raise ReadError(
                f"{path.name} is not a workbook, or a truncated or damaged one ({type(error).__name__}).",
                "Open it in a spreadsheet program and save it anew.",
            ) from None
        notes = [f"Hidden sheets were left out: {', '.join(hidden)}."] if hidden else []
        kind = _MIME_TYPES[path.suffix.lower()]
        return Document(builder.content, str(path), {}, kind, headings=builder.headings, notes=notes)


def _write(sheet: CalamineSheet, builder: DocumentBuilder, name: str) -> None:
    if sheet.height * sheet.width > _MOST_CELLS:
        raise ReadError(f"The sheet {sheet.name!r} of {name} spans {sheet.height * sheet.width:,} cells.", TOO_BIG)
    rows = sheet.to_python()
    if any(cell != "" for row in rows for cell in row):
        builder.add_heading(1, " ".join(sheet.name.split()) or "Sheet")
        write_rows((list(map(_shown, row)) for row in rows), builder)


def _shown(value: Cell) -> str:
    """A value as a person sees it: dates as ISO 8601 without an idle midnight, numbers with the 15 digits a spreadsheet keeps."""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.15g}"
    if isinstance(value, datetime):
        midnight = value.time() == time()
        return value.date().isoformat() if midnight else value.isoformat(" ", "auto").removesuffix(".000000")
    return value.isoformat() if isinstance(value, date | time) else str(value)
