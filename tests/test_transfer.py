"""A collection carried in a file is the same collection; a file that is none of ours does nothing."""

from __future__ import annotations

import base64
import gzip
import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from racto.knowledge import catalogue
from racto.knowledge.chunking import default_chunker
from racto.knowledge.database import Database
from racto.knowledge.errors import ConflictError, InputError, LimitError, RactoError, StorageError, UnknownNameError
from racto.knowledge.ingest import Ingester
from racto.knowledge.library import Library
from racto.knowledge.pages import PageIndexRAG
from racto.knowledge.restoring import restore
from racto.knowledge.transfer import Transferred, export_collection, import_collection

from tests.files import pdf_bytes
from tests.indexes import judged
from tests.test_document_versions import Words

QUERIES = ("what does a lantern cost", "granite quarry", "der Preis der Laterne", "灯笼的价格")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(tmp_path / "racto.db")
    yield made
    made.close()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Database]:
    made = Database(tmp_path / "other.db")
    yield made
    made.close()


def _filled(database: Database, tmp_path: Path, *, embedder: Words | None = None) -> Library:
    library = Library(database, embedder=embedder)
    text = "# Lanterns\n\nA lantern costs 12 coins.\n\n## Quarry\n\n" + "The granite quarry is closed on Mondays. " * 80
    library.ingester.text(text, "prices", {"year": 2020, "who": {"name": "Jörg", "tags": [1, None, True, 2.5]}})
    library.ingester.text("Der Preis der Laterne ist nicht hoch und sie ist schön.", "preise")
    library.ingester.text("灯笼的价格是十二个硬币。灯笼很漂亮。", "价格")
    (tmp_path / "report.pdf").write_bytes(
        pdf_bytes(["Granite is sold by the ton.", "", "Lanterns are sold by the piece."])
    )
    library.ingester.file(tmp_path / "report.pdf", {"kind": "report"})
    return library


def _seen(database: Database, collection: str = "default") -> list[Any]:
    """What a reader can see of a collection, apart from ids made of its name."""
    with database.reading() as connection:
        found = catalogue.collection_named(connection, collection)
        return [
            (
                (
                    one.source,
                    one.name,
                    one.type,
                    one.language,
                    one.state,
                    one.sha256,
                    one.recipe,
                    one.char_count,
                    one.metadata,
                    one.notes,
                ),
                catalogue.outline(connection, one),
                [
                    (page.page_number, page.content, page.heading_path, page.keywords, page.start_char, page.end_char)
                    for page in catalogue.read_pages(connection, one)
                ],
                connection.execute(
                    "SELECT chunk_index, start_char, end_char, heading_path, content, digest FROM chunks WHERE id >> 16 BETWEEN ? AND ?",
                    (one.first_page, one.first_page + one.page_count - 1),
                ).fetchall(),
            )
            for one in (catalogue.documents(connection, found) if found else [])
        ]


def _ranked(database: Database, collection: str = "default") -> list[list[tuple[str, int, float]]]:
    index = PageIndexRAG(database=database, collection=collection)
    return [
        [(one.entry.source, one.entry.position, one.score) for one in index.retrieve(query, 20)] for query in QUERIES
    ]


@pytest.mark.anyio
async def test_a_collection_carried_elsewhere_is_found_exactly_as_it_was(
    database: Database, other: Database, tmp_path: Path
) -> None:
    embedder = Words()
    library = _filled(database, tmp_path, embedder=embedder)
    await library.embed()
    out = export_collection(database, "default", tmp_path / "all.racto.gz")
    came = import_collection(other, tmp_path / "all.racto.gz")
    assert (out.documents, out.pages, out.chunks, out.vectors) == (
        came.documents,
        came.pages,
        came.chunks,
        came.vectors,
    )
    assert (out.documents, out.vectors) == (4, out.chunks)
    assert out.chunks > 8
    assert _seen(other) == _seen(database)
    assert _ranked(other) == _ranked(database)
    embedder.texts.clear()
    twin = Library(other, embedder=embedder)
    assert (await twin.embed()).done == 0
    for query in QUERIES:
        for mode in ("meaning", "words", "hybrid"):
            here = await library.search(query, 20, mode=mode)
            there = await twin.search(query, 20, mode=mode)
            assert [one.chunk for one in here] == [one.chunk for one in there]
            assert [one.score for one in here] == pytest.approx([one.score for one in there], abs=1e-3)
    assert embedder.texts == list(QUERIES[:1]) * 4 + [query for query in QUERIES[1:] for _ in range(4)]
    again = export_collection(other, "default", tmp_path / "again.racto.gz")
    assert again.vectors == out.vectors
    assert (
        gzip.decompress((tmp_path / "again.racto.gz").read_bytes()).splitlines()[0]
        == _lines(tmp_path / "all.racto.gz")[0]
    )


def test_a_collection_with_half_of_its_vectors_goes_on_where_it_was(
    database: Database, other: Database, tmp_path: Path
) -> None:
    _filled(database, tmp_path)
    export_collection(database, "default", tmp_path / "all.racto.gz")
    came = import_collection(other, tmp_path / "all.racto.gz")
    assert came.vectors == 0
    with other.reading() as connection:
        assert connection.execute("SELECT count(*) FROM chunks_waiting").fetchone()[0] == came.chunks


def test_an_unchanged_file_is_not_read_again_after_its_collection_came_back(
    database: Database, other: Database, tmp_path: Path
) -> None:
    library = _filled(database, tmp_path)
    export_collection(database, "default", tmp_path / "all.racto.gz")
    import_collection(other, tmp_path / "all.racto.gz")
    ingester = Ingester(other, chunker=default_chunker())
    assert ingester.recipe == library.ingester.recipe
    assert ingester.file(tmp_path / "report.pdf").state == "unchanged"


def test_a_collection_that_is_there_is_replaced_only_when_it_is_said(database: Database, tmp_path: Path) -> None:
    _filled(database, tmp_path)
    file = tmp_path / "all.racto.gz"
    export_collection(database, "default", file)
    before = _seen(database)
    with pytest.raises(ConflictError, match="already"):
        import_collection(database, file)
    assert import_collection(database, file, collection="copy").collection == "copy"
    assert _seen(database, "copy") == before
    Ingester(database).text("Something else.", "other")
    came = import_collection(database, file, replace=True)
    assert came.former == 5
    assert _seen(database) == before
    assert {one.source for one in restore(database, "default", "other")} == {"other"}


def test_a_file_that_is_there_is_overwritten_only_when_it_is_said(database: Database, tmp_path: Path) -> None:
    _filled(database, tmp_path)
    file = tmp_path / "all.racto.gz"
    file.write_text("precious")
    with pytest.raises(ConflictError, match="already"):
        export_collection(database, "default", file)
    assert file.read_text() == "precious"
    export_collection(database, "default", file, overwrite=True)
    assert len(_lines(file)) > 5


class Stopped(Exception):  # noqa: N818 - what a caller stops with
    """What a caller raises who has enough."""


def test_an_export_or_import_that_is_stopped_leaves_nothing(
    database: Database, other: Database, tmp_path: Path
) -> None:
    _filled(database, tmp_path)
    folder = tmp_path / "out"
    folder.mkdir()

    def stop(done: int, total: int) -> None:
        assert total == 4
        if done > 1:
            raise Stopped

    with pytest.raises(Stopped):
        export_collection(database, "default", folder / "all.racto.gz", progress=stop)
    assert list(folder.iterdir()) == []
    export_collection(database, "default", folder / "all.racto.gz")
    with pytest.raises(Stopped):
        import_collection(other, folder / "all.racto.gz", progress=stop)
    assert _seen(other) == []


def test_an_import_that_is_killed_leaves_nothing_half(database: Database, tmp_path: Path) -> None:
    _filled(database, tmp_path)
    export_collection(database, "default", tmp_path / "all.racto.gz")
    program = (
        "import sys\n"
        "from racto.knowledge import transfer\n"
        "from racto.knowledge.database import Database\n"
        "transfer.BATCH_PAGES = 1\n"
        "def progress(done, total):\n"
        "    print(done, flush=True)\n"
        "    if done == 3: sys.stdin.read()\n"
        "transfer.import_collection(Database(sys.argv[1]), sys.argv[2], progress=progress, replace=True)\n"
    )
    path = tmp_path / "killed.db"
    for there in ({}, {"here": "What was there."}):
        with closing(Database(path)) as other:
            for source, text in there.items():
                Ingester(other).text(text, source)
            before = _seen(other)
        command = [sys.executable, "-c", program, str(path), str(tmp_path / "all.racto.gz")]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            assert [child.stdout.readline() for _ in range(3)] == ["1\n", "2\n", "3\n"]
            child.kill()
        with closing(Database(path)) as other:
            assert _seen(other) == before
    with closing(Database(path)) as other:
        import_collection(other, tmp_path / "all.racto.gz", replace=True)
        assert _seen(other) == _seen(database)


def test_what_cannot_be_written_or_read_is_said(database: Database, tmp_path: Path) -> None:
    _filled(database, tmp_path)
    with pytest.raises(UnknownNameError, match="collection"):
        export_collection(database, "none", tmp_path / "x.racto.gz")
    with pytest.raises(StorageError, match="cannot be written"):
        export_collection(database, "default", tmp_path / "no folder" / "x.racto.gz")
    for missing in (tmp_path / "missing.racto.gz", tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            import_collection(database, missing)


def _lines(path: Path) -> list[bytes]:
    return gzip.decompress(path.read_bytes()).splitlines()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The export of two short texts."""
    folder = tmp_path_factory.mktemp("small")
    database = Database(folder / "small.db")
    ingester = Ingester(database, chunker=default_chunker())
    ingester.text("# Lanterns\n\nA lantern costs 12 coins.", "prices", {"year": 2020})
    ingester.text("A meadow by the river.", "meadow")
    export_collection(database, "default", folder / "small.racto.gz")
    database.close()
    return folder / "small.racto.gz"


def _exported(small: Path) -> list[Any]:
    """Its lines: the manifest, a document, its page, another document, its page."""
    found = [json.loads(line) for line in _lines(small)]
    assert len(found) == 5
    return [found[0], *found[3:5], *found[1:3]]  # the one with a heading first


def _import_lines(other: Database, tmp_path: Path, found: list[Any]) -> Transferred:
    file = tmp_path / "made.racto.gz"
    file.write_bytes(
        gzip.compress("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in found).encode())
    )
    return import_collection(other, file)


def _set(place: int, **values: Any) -> Callable[[list[Any]], None]:
    def change(found: list[Any]) -> None:
        found[place].update(values)

    return change


def _set_chunk(**values: Any) -> Callable[[list[Any]], None]:
    def change(found: list[Any]) -> None:
        found[2]["chunks"][0].update(values)

    return change


def _drop(place: int) -> Callable[[list[Any]], None]:
    def change(found: list[Any]) -> None:
        del found[place]

    return change


def _deep(found: list[Any]) -> None:
    found[1] = json.dumps(found[1]).replace('"year": 2020', '"year": ' + "[" * 100_000 + "]" * 100_000)


def _nan(found: list[Any]) -> None:
    found[1] = json.dumps(found[1]).replace('"year": 2020', '"year": NaN')


def _number(found: list[Any]) -> None:
    found[1] = json.dumps(found[1]).replace('"year": 2020', '"year": ' + "9" * 100_000)


@pytest.mark.parametrize(
    "change",
    [
        _set(0, format="something else"),
        _set(0, version=2),
        _set(0, collection="../../etc"),
        _set(0, collection=""),
        _set(0, documents=3),
        _set(0, pages=1),
        _set(0, documents=-1),
        _set(0, more=1),
        _set(1, source=""),
        _set(1, source="x" * 10_000),
        _set(1, source="\ud800"),
        _set(1, source=None),
        _set(1, size="12"),
        _set(1, modified_ns=1 << 63),
        _set(1, metadata=[]),
        _set(1, outline=[["1", "a", 1]]),
        _set(1, pages=0),
        _set(1, pages=2),
        _set(1, pages=9_999_999),
        _set(1, unknown=True),
        _set(1, char_count=3),
        _set(2, content=""),
        _set(2, content=7),
        _set(2, start=-1),
        _set(2, start=30, end=20),
        _set(2, end=1 << 60),
        _set(2, heading_path="Lanterns"),
        _set(2, chunks={}),
        _set_chunk(start=3),
        _set_chunk(end=900),
        _set_chunk(index=1),
        _set_chunk(digest="../.."),
        _set_chunk(content="another text"),
        _set_chunk(vector="AAAA"),
        _set_chunk(vector="%%%%"),
        _set_chunk(id=1),
        _drop(0),
        _drop(1),
        _drop(2),
        _drop(4),
        lambda found: found.extend(found[1:3]),
        lambda found: found.insert(2, "{"),
        lambda found: found.insert(1, "null"),
        lambda found: found.clear(),
        _deep,
        _nan,
        _number,
    ],
)
def test_a_file_with_one_wrong_field_is_refused_and_nothing_of_it_kept(
    other: Database, tmp_path: Path, small: Path, change: Callable[[list[Any]], None]
) -> None:
    found = _exported(small)
    change(found)
    Ingester(other).text("What was there.", "here")
    before = _seen(other)
    with pytest.raises(RactoError) as caught:
        _import_lines(other, tmp_path, found)
    assert caught.value.hint
    assert len(str(caught.value)) < 1000
    assert _seen(other) == before


def test_vectors_that_are_none_are_refused(other: Database, tmp_path: Path, small: Path) -> None:
    for vector in ([0.0, 0.0], [float("nan"), 1.0], [float("inf"), 1.0], [1.0], [1.0, 2.0, 3.0]):
        import numpy as np

        found = _exported(small)
        found[0].update(embedder="tests/two", dimension=2)
        found[2]["chunks"][0]["vector"] = base64.b64encode(np.array(vector, "<f2").tobytes()).decode()
        with pytest.raises(InputError):
            _import_lines(other, tmp_path, found)
    assert _seen(other) == []


def test_a_file_cut_off_or_changed_anywhere_is_refused_or_whole(other: Database, tmp_path: Path, small: Path) -> None:
    data = small.read_bytes()
    file = tmp_path / "hurt.racto.gz"
    chance = random.Random(1)
    for place in (*range(0, len(data), 7), len(data) - 1):
        file.write_bytes(data[:place])
        with pytest.raises(InputError):
            import_collection(other, file)
        changed = bytearray(data)
        changed[place] ^= 1 << chance.randrange(8)
        file.write_bytes(bytes(changed))
        try:
            import_collection(other, file, collection="hurt", replace=True)
        except RactoError:
            continue
        assert len(_seen(other, "hurt")) == 2  # a bit nobody reads, such as the name of the system it was made on
    assert _seen(other) == []


def test_a_file_that_swells_ends_in_an_error(other: Database, tmp_path: Path, small: Path) -> None:
    bomb = tmp_path / "bomb.racto.gz"
    found = _exported(small)
    with gzip.open(bomb, "wb", compresslevel=1) as file:
        file.write(json.dumps(found[0]).encode() + b"\n")
        for _ in range(70):
            file.write(b" " * (1 << 20))
    with pytest.raises(LimitError):
        import_collection(other, bomb)
    with gzip.open(bomb, "wb", compresslevel=1) as file:
        file.write(json.dumps(found[0]).encode() + b"\n")
        page = json.dumps({**found[2], "content": "x" * (1 << 20), "chunks": []}).encode() + b"\n"
        file.write(json.dumps({**found[1], "pages": 1_000_000}).encode() + b"\n")
        for _ in range(250):
            file.write(page)
    with pytest.raises(LimitError):
        import_collection(other, bomb)
    assert _seen(other) == []


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
            st.text(st.characters(codec="utf-8"), max_size=400),
        ),
        max_size=4,
    )
)
def test_any_collection_comes_through(tmp_path: Path, texts: list[tuple[str, str]]) -> None:
    database, other = Database(), Database()
    ingester = Ingester(database, chunker=default_chunker())
    ingester.text("The first.", "first")
    for source, text in texts:
        try:
            ingester.text(text, source)
        except RactoError:
            continue
    export_collection(database, "default", tmp_path / "any.racto.gz", overwrite=True)
    import_collection(other, tmp_path / "any.racto.gz")
    assert _seen(other) == _seen(database)
    database.close()
    other.close()


def test_a_large_collection_is_carried_in_little_memory(tmp_path: Path, small: Path) -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("how much memory a process took at most is only told by Linux")
    pages = judged("squad_a").pages
    database = Database(tmp_path / "racto.db")
    ingester = Ingester(database, chunker=default_chunker())
    text = "\n\n".join(pages.values())
    for number in range(2):
        ingester.text(f"Copy {number}.\n\n{text}", f"copy {number}")
    database.close()
    program = (
        "import re, sys\n"
        "from pathlib import Path\n"
        "from racto.knowledge.database import Database\n"
        "from racto.knowledge.transfer import export_collection, import_collection\n"
        "database = Database(sys.argv[1])\n"
        "def peak(): return int(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1])\n"
        "import_collection(database, sys.argv[3], collection='small')\n"
        "idle = peak()  # with every module loaded\n"
        "out = export_collection(database, 'default', sys.argv[2])\n"
        "written = peak()\n"
        "came = import_collection(database, sys.argv[2], collection='copy')\n"
        "assert (out.documents, out.pages) == (came.documents, came.pages)\n"
        "print(written - idle, peak() - idle, out.pages)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "racto.db", tmp_path / "big.racto.gz", small],
        capture_output=True,
        text=True,
        check=True,
    )
    exporting, importing, count = map(int, ran.stdout.split())
    print(
        f"{count} pages, {len(text) * 2 / 1e6:.1f} million characters: {exporting} KiB more to export, {importing} KiB more to import"
    )
    assert exporting < 64 * 1024
    assert importing < 256 * 1024
