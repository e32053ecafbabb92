"""What the page tools answer. Every line of a document is set off by `> `, so that what a page says cannot pass for what racto says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..knowledge.catalogue import KeptDocument
    from ..knowledge.folder import IngestReport
    from ..knowledge.history import FormerVersion
    from ..knowledge.ingest import Outcome
    from ..knowledge.library import Embedded
    from ..knowledge.pages import PageIndexResult

SEARCH_CHARACTERS = 8000
CITATION_CHARACTERS = 120
LISTED = 20
"""How many files of a kind a report names."""


@dataclass(slots=True)
class Ingested:
    """What became of a file, folder or text. Lists name the first `LISTED` of a kind.

    :param failed: Each with `source`, `code` and `reason`.
    :param duplicates: Files with the same bytes as another: each with `source` and `same_as`.
    :param notes: What readers had to say: each with `source` and `note`.
    :param vectors: Passages that are found by meaning too since this call.
    :param waiting: Passages that still wait for their vector; they get it behind the call.
    :param unembedded: Why embedding stopped; words find the documents all the same.
    """

    collection: str
    added: int = 0
    updated: int = 0
    unchanged: int = 0
    removed: int = 0
    pages: int = 0
    documents: list[str] = field(default_factory=list)
    failed_count: int = 0
    failed: list[dict[str, str]] = field(default_factory=list)
    duplicate_count: int = 0
    duplicates: list[dict[str, str]] = field(default_factory=list)
    notes: list[dict[str, str]] = field(default_factory=list)
    skipped: int = 0
    left: int = 0
    seconds: float = 0.0
    vectors: int = 0
    waiting: int = 0
    unembedded: str = ""

    def embedded(self, done: Embedded | None) -> None:
        """Add what the embedding of the chunks came to, when there is an embedder."""
        if done is not None:
            self.vectors, self.waiting = done.done, done.left

    @classmethod
    def of(cls, collection: str, report: IngestReport) -> Ingested:
        """The report of a folder, its longer lists cut."""
        return cls(
            collection,
            added=len(report.added),
            updated=len(report.updated),
            unchanged=len(report.unchanged),
            removed=len(report.removed),
            pages=report.pages,
            documents=[*report.added, *report.updated][:LISTED],
            failed_count=len(report.failed),
            failed=[
                {"source": source, "code": code, "reason": reason} for source, code, reason in report.failed[:LISTED]
            ],
            duplicate_count=len(report.duplicates),
            duplicates=[{"source": source, "same_as": first} for source, first in report.duplicates[:LISTED]],
            notes=[{"source": source, "note": note} for source, note in report.notes[:LISTED]],
            skipped=len(report.skipped),
            left=report.left,
            seconds=report.seconds,
        )

    @classmethod
    def of_one(cls, collection: str, outcome: Outcome) -> Ingested:
        """What became of one file or text."""
        made = cls(collection)
        if outcome.state == "duplicate":
            made.duplicate_count = 1
            made.duplicates.append({"source": "this file", "same_as": outcome.source})
        elif outcome.state == "unchanged":
            made.unchanged = 1
        else:
            made.added, made.updated = int(outcome.state == "added"), int(outcome.state == "updated")
            made.documents.append(outcome.source)
            made.pages = outcome.pages
            made.notes += [{"source": outcome.source, "note": note} for note in outcome.notes]
        return made

    def render(self) -> str:
        """The report, a line for each kind of outcome."""
        counts = f"{self.added} added, {self.updated} updated, {self.unchanged} unchanged"
        lines = [
            f"{counts}{f', {self.removed} removed' if self.removed else ''} in {self.collection}; {counted(self.pages, 'page')} indexed."
        ]
        lines += _listed("Indexed", self.documents, self.added + self.updated)
        failed = [f"{one['source']} ({one['code']}): {one['reason']}" for one in self.failed]
        lines += _listed("Could not be read", failed, self.failed_count)
        duplicates = [f"{one['source']} = {one['same_as']}" for one in self.duplicates]
        lines += _listed("Skipped as duplicates", duplicates, self.duplicate_count)
        lines += _listed("Notes", [f"{one['source']}: {one['note']}" for one in self.notes], len(self.notes))
        if self.skipped:
            lines.append(f"{counted(self.skipped, 'file')} of other kinds skipped.")
        if self.vectors or self.waiting:
            lines.append(
                f"{counted(self.vectors, 'passage')} embedded{f', {self.waiting:,} more behind this call' if self.waiting else ''}."
            )
        if self.unembedded:
            lines.append(f"Not embedded, so found by words only: {self.unembedded}")
        if self.left:
            lines.append(
                f"Not finished: {counted(self.left, 'file')} left. Call page_ingest again with the same arguments to go on."
            )
        return "\n".join(lines)


@dataclass(slots=True)
class Found:
    """One page that answers.

    :param section: Headings above it, outermost first, joined by ` › `.
    """

    rank: int
    document: str
    page: str
    section: str
    score: float
    matched: list[str]
    snippet: str
    doc_id: str

    def render(self) -> str:
        """The citation, and under it the snippet."""
        section = f" — {self.section}" if self.section else ""
        cited = f"[{self.rank}] {self.document}, {self.page}{section} (score {self.score}; matched: {', '.join(self.matched)})"
        return f"{cited}\n{quoted(self.snippet)}" if self.snippet else cited


@dataclass(slots=True)
class SearchResults:
    """The pages that answer, best first."""

    query: str
    collection: str
    results: list[Found]

    @classmethod
    def of(cls, query: str, collection: str, found: Sequence[PageIndexResult]) -> SearchResults:
        """Every page that was found; when there are many, the last ones go without a snippet, so that the citations have room."""
        room = SEARCH_CHARACTERS
        results = []
        for one in found:
            cited = Found(
                rank=one.rank,
                document=one_line(one.entry.name),
                page=one.entry.label,
                section=one_line(" › ".join(one.entry.heading_path)),
                score=round(one.score, 2),
                matched=one.matched_terms,
                snippet=one.snippet,
                doc_id=one.entry.doc_id,
            )
            if room - len(cited.render()) < CITATION_CHARACTERS * (len(found) - one.rank):
                cited.snippet = ""
            room -= len(cited.render())
            results.append(cited)
        return cls(query, collection, results)

    def render(self) -> str:
        """Every citation; snippets as long as there is room."""
        if not self.results:
            return f"No page that was searched in {self.collection} holds a word of this query. Try other words or filters, or see page_list."
        cited = [found.render() for found in self.results]
        return "\n".join(
            [
                f"{counted(len(cited), 'page')} of {self.collection}, best first:",
                *cited,
                "Cite document and page. page_read gives the whole page.",
            ]
        )


@dataclass(slots=True)
class Excerpt:
    """Consecutive pages of a document.

    :param pages: Each with `page`, `section` and `text`.
    :param rest: How to get what is missing; empty when nothing is.
    """

    document: str
    collection: str
    length: str
    pages: list[dict[str, str]]
    rest: str

    def render(self) -> str:
        """Each page under its heading."""
        lines = [f"{self.document} ({self.collection}, {self.length})"]
        for page in self.pages:
            lines += [f"[{page['page']}{' — ' if page['section'] else ''}{page['section']}]", quoted(page["text"])]
        return "\n".join([*lines, self.rest] if self.rest else lines)


@dataclass(slots=True)
class Outline:
    """The headings of a document, or the first line of each page when it has none.

    :param entries: Each with `level` (1 is the highest), `title` and `page`.
    :param rest: What is missing and how to get it.
    """

    document: str
    collection: str
    length: str
    entries: list[dict[str, str | int]]
    rest: str

    def render(self) -> str:
        """One line a heading, indented by its level."""
        lines = [f"{self.document} ({self.collection}, {self.length})"]
        lines += [f"> {'  ' * (int(entry['level']) - 1)}{entry['title']} · {entry['page']}" for entry in self.entries]
        return "\n".join([*lines, self.rest] if self.rest else lines)


@dataclass(slots=True)
class Listing:
    """What is kept: collections, or the documents of one.

    :param collections: Each with `name`, `documents`, `pages`, `passages`, the `embedder` of their vectors and how many are `waiting` for one.
    :param documents: Each with `name`, `type`, `pages`, `modified`, `source` and `doc_id`.
    """

    collection: str
    total: int
    collections: list[dict[str, str | int]]
    documents: list[dict[str, str | int]]
    rest: str

    @classmethod
    def of_collections(
        cls, there: Sequence[tuple[str, int, int]], vectors: Mapping[str, tuple[int, int, str]]
    ) -> Listing:
        """Every collection.

        :param vectors: Name → passages, those without a vector, embedder.
        """
        rows: list[dict[str, str | int]] = []
        for name, documents, pages in there:
            passages, waiting, embedder = vectors[name]
            counts: dict[str, str | int] = {"name": name, "documents": documents, "pages": pages, "passages": passages}
            rows.append(counts | {"embedder": embedder, "waiting": waiting if embedder else 0})
        return cls("", len(rows), rows, [], "")

    @classmethod
    def of_documents(cls, collection: str, found: Sequence[KeptDocument], total: int, offset: int) -> Listing:
        """Some documents of a collection, those before `offset` skipped."""
        rows: list[dict[str, str | int]] = [
            {
                "name": one_line(one.name),
                "type": one.type,
                "pages": one.page_count,
                "modified": one.modified,
                "source": one.source,
                "doc_id": one.doc_id,
            }
            for one in found
        ]
        more = total - offset - len(found)
        return cls(collection, total, [], rows, f"{more} more: offset={offset + len(found)}." if more > 0 else "")

    def render(self) -> str:
        """A line for each."""
        if not self.collection:
            lines = [counted(self.total, "collection")]
            lines += [
                f"- {one['name']}: {counted(int(one['documents']), 'document')}, {counted(int(one['pages']), 'page')}"
                + (f", vectors of {one['embedder']}" if one["embedder"] else "")
                + (f", {one['waiting']} to come" if one["waiting"] else "")
                for one in self.collections
            ]
        else:
            lines = [f"{counted(self.total, 'document')} in {self.collection}"]
            lines += [
                f"- {one['name']}: {counted(int(one['pages']), 'page')}, changed {one['modified']}, {one_line(str(one['source']), 400)}"
                for one in self.documents
            ]
        return "\n".join([*lines, self.rest] if self.rest else lines)


@dataclass(slots=True)
class Deleted:
    """What was deleted.

    :param restorable: How many of its documents page_restore can bring back; none when they are very large together.
    """

    collection: str
    documents: int
    pages: int
    what: str
    restorable: int = 0

    def render(self) -> str:
        """What was done, and whether it can be undone."""
        undo = (
            "page_restore brings it back."
            if self.restorable
            else "It was too large to be put by: ingest it again to have it back."
        )
        return f"Deleted {self.what}. The files themselves were not touched. {undo}"


@dataclass(slots=True)
class Restored:
    """Former versions of documents.

    :param documents: Each with `source`, `version`, `reason` and `ended_at`.
    :param done: Whether they came back; otherwise they could.
    """

    collection: str
    documents: list[dict[str, str | int]]
    done: bool

    @classmethod
    def of(cls, collection: str, versions: Sequence[FormerVersion], *, done: bool) -> Restored:
        """What came back, or could."""
        rows: list[dict[str, str | int]] = [
            {"source": one.source, "version": one.version, "reason": one.reason, "ended_at": one.ended_at}
            for one in versions
        ]
        return cls(collection, rows, done)

    def render(self) -> str:
        """A line for each."""
        what = "brought back in" if self.done else "could come back in"
        lines = [
            f"{one_line(str(one['source']), 400)}, version {one['version']} ({one['reason']} {one['ended_at']})"
            for one in self.documents[:LISTED]
        ]
        return "\n".join(
            [
                f"{counted(len(self.documents), 'document')} {what} {self.collection}.",
                *_listed("Which", lines, len(self.documents)),
            ]
        )


def quoted(text: str) -> str:
    """Text of a document, every line after `> `."""
    return "\n".join(f"> {line}" for line in text.splitlines())


def counted(number: int, word: str) -> str:
    """`1 page`, `3,000 pages`."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def one_line(text: str, longest: int = 120) -> str:
    """Words of a document as part of a line of ours: no line ends, not too long."""
    words = " ".join(text.split())
    return words if len(words) <= longest else f"{words[: longest - 1]}…"


def _listed(title: str, items: Sequence[str], total: int) -> list[str]:
    more = [f"- … and {total - len(items)} more"] if total > len(items) else []
    return [f"{title}:", *(f"- {one_line(item, 400)}" for item in items), *more] if items else []
