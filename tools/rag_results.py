"""What the library's tools answer. Every line of a document is set off by `> `, so that what it says cannot pass for what racto says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .page_results import counted, one_line, quoted

if TYPE_CHECKING:
    from ..knowledge.chunks import Chunk, RetrievalResult
    from ..knowledge.library import Embedded
    from ..knowledge.rag import RAGResponse
    from .watches import Watched

SEARCH_CHARACTERS = 16_000


@dataclass(slots=True)
class Passage:
    """One passage that was found.

    :param page: `page 3`; empty where the format has no pages.
    :param section: Headings above it, outermost first, joined by ` › `.
    :param start: Where it begins in the text of the document, in characters.
    :param text: Exactly as the document has it.
    :param around: What stands before and after it, when that was asked for, the passage included.
    """

    rank: int
    document: str
    page: str
    section: str
    start: int
    end: int
    score: float
    matched: list[str]
    why: str
    text: str
    source: str
    doc_id: str
    chunk: int
    around: str = ""

    @classmethod
    def of(cls, found: RetrievalResult, around: Sequence[Chunk] = ()) -> Passage:
        """A result of a search, with what stands around it."""
        from ..knowledge.catalogue import name_of
        from ..knowledge.documents import joined

        about = found.chunk.metadata
        return cls(
            rank=found.rank,
            document=one_line(name_of(about.source)),
            page=f"page {about.page}" if about.page else "",
            section=one_line(" › ".join(about.heading_path)),
            start=about.start_char,
            end=about.end_char,
            score=round(found.score, 3),
            matched=found.matched_terms,
            why=found.why,
            text=found.chunk.content,
            source=about.source,
            doc_id=about.doc_id,
            chunk=about.chunk_index,
            around=joined((one.metadata.start_char, one.content) for one in around) if around else "",
        )

    @property
    def citation(self) -> str:
        """Document, page and section on one line."""
        place = f", {self.page}" if self.page else ""
        return f"{self.document}{place}{f' — {self.section}' if self.section else ''}"

    def render(self) -> str:
        """The citation, and under it the text."""
        return f"[{self.rank}] {self.citation} ({self.why})\n{quoted(self.around or self.text)}"


@dataclass(slots=True)
class Passages:
    """The passages that answer, best first.

    :param notes: What the reader must know: that only words were searched, and why.
    """

    query: str
    collection: str
    results: list[Passage]
    notes: list[str] = field(default_factory=list)

    def render(self) -> str:
        """Every passage; the text of the last ones is left out when there is no room."""
        if not self.results:
            none = f"No passage that was searched in {self.collection} answers this. Try other words, or see page_list."
            return "\n".join([none, *self.notes])
        lines = [f"{counted(len(self.results), 'passage')} of {self.collection}, best first:"]
        room = SEARCH_CHARACTERS
        for one in self.results:
            text = one.render()
            lines.append(text if len(text) <= room else f"[{one.rank}] {one.citation} ({one.why})")
            room -= len(lines[-1])
        return "\n".join([*lines, *self.notes, "Cite document and page; the text is exactly what stands there."])


@dataclass(slots=True)
class CitedAnswer:
    """An answer from the documents, and what came of checking it.

    :param text: The answer; a sentence the passages do not bear out is followed by its mark, such as `[uncited]`.
    :param supported: Of the sentences that could be checked, the share that the cited passages bear out; `None` when there was none.
    :param answered: False when the documents do not answer.
    """

    question: str
    text: str
    answered: bool
    supported: float | None
    sources: list[Passage]
    model: str
    usage: dict[str, int]
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, response: RAGResponse, model: str, usage: dict[str, int], notes: Sequence[str]) -> CitedAnswer:
        """What the library answered."""
        checked = response.checked
        return cls(
            response.query,
            checked.marked,
            not checked.abstained,
            checked.share,
            [Passage.of(one) for one in response.sources],
            model,
            usage,
            list(notes),
        )

    @classmethod
    def none(cls, question: str, notes: Sequence[str]) -> CitedAnswer:
        """No passage was found: no model needs to be asked to say so."""
        from ..knowledge.answers import NOT_ANSWERED

        return cls(question, NOT_ANSWERED, False, None, [], "", {}, list(notes))

    def render(self) -> str:
        """The answer, its sources, and how much of it holds."""
        lines = [self.text, ""]
        lines += [f"[{one.rank}] {one.citation}" for one in self.sources]
        if self.supported is not None:
            lines.append(f"Checked: {self.supported:.0%} of its statements stand in the passages they cite.")
        return "\n".join([*lines, *self.notes])


@dataclass(slots=True)
class EmbeddingReport:
    """How far the vectors of a collection are.

    :param done: Passages that got their vector in this call.
    :param left: Passages that still wait; they get theirs behind the call.
    """

    collection: str
    embedder: str
    done: int
    left: int
    seconds: float

    @classmethod
    def of(cls, collection: str, embedder: str, done: Embedded) -> EmbeddingReport:
        """What a job did."""
        return cls(collection, embedder, done.done, done.left, done.seconds)

    def render(self) -> str:
        """One or two sentences, with the rate and the time that is left."""
        text = (
            f"{counted(self.done, 'passage')} of {self.collection} embedded by {self.embedder} in {self.seconds:.1f} s."
        )
        if not self.left:
            return text
        more = f" About {self.left * self.seconds / self.done:.0f} s more." if self.done else ""
        return f"{text} {counted(self.left, 'passage')} left, which go on behind this call.{more} Words find them meanwhile."


@dataclass(slots=True)
class WatchList:
    """The folders that are followed.

    :param folders: Each with `folder`, `collection`, `pattern`, `since`, `state`, and how many documents were `added`, `updated`, `removed` and
        `failed` since the server started.
    """

    folders: list[dict[str, str | int]]

    @classmethod
    def of(cls, watched: Sequence[Watched]) -> WatchList:
        """What is followed now."""
        names = ("folder", "collection", "pattern", "since", "state", "added", "updated", "removed", "failed")
        return cls([{name: getattr(one, name) for name in names} for one in watched])

    def render(self) -> str:
        """A line for each."""
        if not self.folders:
            return "No folder is followed."
        return "\n".join(
            f"- {one['folder']} ({one['pattern']}) into {one['collection']}: {one['state']}; "
            f"{one['added']} added, {one['updated']} updated, {one['removed']} removed, {one['failed']} failed"
            for one in self.folders
        )
