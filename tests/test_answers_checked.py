"""What a reader is told about an answer: which sentences their sources hold, which not, and that nothing passes for a source."""

from __future__ import annotations

import json
import random
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from racto.knowledge.analyser import terms
from racto.knowledge.answers import NOT_ANSWERED, CheckedAnswer, Passage, check, context, prompt
from racto.knowledge.headings import LINE_BREAKS
from racto.knowledge.phrases import is_courtesy, says_nothing_found
from racto.knowledge.sentences import sentence_spans
from racto.knowledge.snippets import stop_terms
from racto.knowledge.turns import estimate

from tests.indexes import JUDGED, judged

RIVER = Passage(
    "The Elbe is 1,094 kilometres long and reaches the North Sea at Cuxhaven. It has three locks below Hamburg.",
    "rivers.pdf",
    "page 4",
    ("Germany", "Rivers"),
)
TOWER = Passage(
    "The television tower was opened in 1969. The mayor called it “a needle for the clouds”. It is 368 m high.",
    "berlin.md",
    "part 1",
)
BAKERY = Passage("Our bakery opens at six in the morning and sells rye bread, rolls and cake.", "shop.txt", "part 1")
PASSAGES = [RIVER, TOWER, BAKERY]


def _marks(answer: str, passages: Sequence[Passage] = PASSAGES) -> list[tuple[str, str]]:
    return [(one.verdict, one.mark) for one in check(answer, passages).sentences]


@pytest.mark.parametrize(
    "answer",
    [
        "The Elbe is 1,094 kilometres long [1].",
        "The Elbe is 1094 kilometres long. [1]",
        "The Elbe has 3 locks below Hamburg【1】.",
        "The Elbe has 3 locks below Hamburg【1†rivers.pdf】.",
        "- **Length of the Elbe:** 1,094 kilometres [source 1]",
        "1. The tower was opened in 1969 [2].",
        "The mayor called the tower “A needle for the clouds,” [2].",
        "The tower opened in 1969 [2] and the Elbe is 1,094 kilometres long [1].",
        "The tower opened in 1969 and the Elbe is 1,094 kilometres long [1][2].",
        "The tower opened in 1969 and the Elbe is 1,094 kilometres long [1, 2].",
        "The tower opened in 1969 and the Elbe is 1,094 kilometres long [1-2].",
        "Page 4 of rivers.pdf says that the Elbe reaches the North Sea [1].",
    ],
)
def test_a_sentence_its_source_holds_is_left_alone(answer: str) -> None:
    checked = check(answer, PASSAGES)
    assert [one.mark for one in checked.sentences] == [""] * len(checked.sentences), checked.marked
    assert checked.marked == answer
    assert checked.share == 1.0
    assert not checked.abstained


@pytest.mark.parametrize(
    ("answer", "verdict", "mark"),
    [
        ("The Elbe is 1,904 kilometres long [1].", "miscited", "not in 1: 1,904"),
        ("The Elbe is 1,094 kilometres long [2].", "miscited", "not in 2: 1,094; see 1"),
        ("The Elbe reaches the North Sea at Cuxhaven [3].", "miscited", "not in 3; see 1"),
        ("The Elbe reaches the North Sea at Cuxhaven [1][3].", "miscited", "not in 3"),
        ("The Elbe reaches the North Sea at Cuxhaven [7].", "miscited", "there is no 7; see 1"),
        ("The Elbe reaches the North Sea at Cuxhaven.", "uncited", "uncited; see 1"),
        ("Danube barges carry gravel upstream.", "uncited", "uncited"),
        ("The mayor called the tower “a spear for the clouds” [2].", "miscited", "not in 2: a spear for the clouds"),
        ("Danube barges carry gravel upstream [1].", "miscited", "not in 1"),
        ("Der Fluss mündet bei der Stadt in das Meer und ist nicht tief [1].", "unchecked", ""),
        ("Der Fluss ist nicht 900 Kilometer lang und mündet in das Meer [1].", "miscited", "not in 1: 900"),
    ],
)
def test_a_sentence_its_source_does_not_hold_says_so_and_where_it_is(answer: str, verdict: str, mark: str) -> None:
    checked = check(answer, PASSAGES)
    assert [(one.verdict, one.mark) for one in checked.sentences] == [(verdict, mark)]
    assert checked.marked == (f"{answer} [{mark}]" if mark else answer)


def test_marks_stand_after_their_sentences_and_nothing_else_changes() -> None:
    answer = "Sure!\n\nThe Elbe is 1,094 kilometres long. [1] The tower is 368 m high.\nIt was opened in 1970 [2].\n"
    checked = check(answer, PASSAGES)
    assert checked.marked == (
        "Sure!\n\nThe Elbe is 1,094 kilometres long. [1] The tower is 368 m high. [uncited; see 2]\n"
        "It was opened in 1970 [2]. [not in 2: 1970]\n"
    )
    assert checked.share == pytest.approx(1 / 3)


def test_a_citation_before_a_sentence_belongs_to_it_when_the_one_before_has_its_own() -> None:
    assert _marks("[1] says that the Elbe is 1,094 kilometres long. [2] says that the tower is 368 m high.") == [
        ("supported", ""),
        ("supported", ""),
    ]
    for answer in (
        "The Elbe is 1,094 kilometres long. [1] The tower is 368 m high. [2]",
        "The Elbe is 1,094 kilometres long.[1] The tower is 368 m high.[2]",
        "The Elbe is 1,094 kilometres long [1]. The tower is 368 m high [2].",
    ):
        assert _marks(answer) == [("supported", "")] * 2, answer


@pytest.mark.parametrize(
    "sentence",
    [
        "Hello!",
        "## The Elbe and the tower",
        "Here is what I found:",
        "Would you like to know more about the Elbe?",
        "---",
        "Danke!",
    ],
)
def test_what_asserts_nothing_needs_no_source(sentence: str) -> None:
    checked = check(sentence, PASSAGES)
    assert {one.verdict for one in checked.sentences} <= {"no assertion"}
    assert checked.share is None
    assert not checked.abstained


@pytest.mark.parametrize(
    "answer",
    [
        NOT_ANSWERED,
        "I'm sorry, but the provided documents do not mention the Rhine.",
        "The context doesn't contain any information about the Rhine.",
        "There is no information in the passages about that.",
        "I don't know.",
        "In den Dokumenten steht nichts über den Rhein.",
        "Die Passagen enthalten keine Angaben dazu.",
        "Les passages ne contiennent aucune information sur le Rhin.",
        "Los documentos no mencionan el Rin.",
        "I documenti non contengono informazioni sul Reno.",
        "Os documentos não mencionam o Reno.",
        "De documenten bevatten geen informatie over de Rijn.",
        "В документах ничего не говорится о Рейне.",
        "文档中没有提到莱茵河。",
        "文書にはライン川についての記載がありません。",
    ],
)
def test_not_in_the_documents_is_understood_however_it_is_said(answer: str) -> None:
    checked = check(answer, PASSAGES)
    assert checked.abstained
    assert checked.share is None


@pytest.mark.parametrize(
    "answer",
    [
        "The passages do not mention the Rhine. The Elbe, however, is 1,094 kilometres long [1].",
        "The Elbe is 1,094 kilometres long [1].",
        "The tower cannot be missed.",
        "",
    ],
)
def test_an_answer_that_says_something_has_not_abstained(answer: str) -> None:
    assert not check(answer, PASSAGES).abstained


def test_the_prompt_asks_for_the_line_that_is_understood() -> None:
    assert NOT_ANSWERED in prompt().compile()
    assert check(NOT_ANSWERED, PASSAGES).abstained


def test_a_context_numbers_passages_and_sets_off_what_they_say() -> None:
    text, used = context(PASSAGES, 1000, estimate)
    assert used == PASSAGES
    assert text.split("\n\n")[0] == (
        "[1] rivers.pdf, page 4 (Germany › Rivers)\n"
        "> The Elbe is 1,094 kilometres long and reaches the North Sea at Cuxhaven. It has three locks below Hamburg."
    )


def test_a_context_stays_within_its_budget_and_ends_at_a_sentence() -> None:
    whole, _ = context([RIVER], 1000, estimate)
    text, used = context([RIVER, TOWER, BAKERY], estimate(whole) + 25, estimate)
    assert estimate(text) <= estimate(whole) + 25
    assert [one.document for one in used] == ["rivers.pdf", "berlin.md"]
    assert used[1].text == "The television tower was opened in 1969. …"
    assert context([RIVER], 5, estimate) == ("", [])


@given(
    st.lists(
        st.builds(
            Passage,
            st.text("ab. []1\n\r\u2028\x85>#ROLE", max_size=60),
            st.text("ab[2]\n ", max_size=12),
            st.just("page 1"),
            st.lists(st.text("x[3]\u2028\n", max_size=8), max_size=2).map(tuple),
        ),
        max_size=6,
    ),
    st.integers(0, 120),
)
def test_no_passage_forges_a_number_and_no_context_is_too_long(passages: list[Passage], budget: int) -> None:
    text, used = context(passages, budget, estimate)
    assert estimate(text) <= budget
    lines = [line for line in re.split(f"[{LINE_BREAKS}]", text) if line]
    ours = [line for line in lines if not line.startswith(">")]
    assert [line.split("]")[0] for line in ours] == [f"[{number}" for number in range(1, len(used) + 1)]
    assert all("[" not in line[1:] for line in ours)
    assert not any(re.match(r">\s*\[ROLE\]", line) for line in lines)


@given(st.text(st.sampled_from('ab 1[]-,.【】\n“”"?:#*') | st.characters(), max_size=200))
def test_any_answer_is_checked_and_only_marks_are_added(answer: str) -> None:
    checked = check(answer, PASSAGES)
    rest, at = checked.marked, 0
    for one in checked.sentences:
        assert at <= one.start < one.end
        assert one.text == answer[one.start : one.end]
        between, rest = rest[: one.end - at], rest[one.end - at :]
        assert between == answer[at : one.end]
        at = one.end
        if one.mark:
            assert rest.startswith(f" [{one.mark}]")
            rest = rest[len(one.mark) + 3 :]
    assert rest == answer[at:]


@pytest.mark.parametrize(
    ("name", "language"), [("squad_a", "en"), ("xquad_de", "de"), ("xquad_es", "es"), ("xquad_zh", "zh")]
)
def test_sentences_of_documents_are_not_taken_for_greetings_or_for_no_answer(name: str, language: str) -> None:
    pages = judged(name).pages.values()
    found = [page[start:end] for page in pages for start, end in sentence_spans(page, language=language)]
    taken = [one for one in found if is_courtesy(one) or says_nothing_found(one)]
    print(f"{name}: {len(taken)} of {len(found)}")
    assert len(found) > 1000
    assert len(taken) <= len(found) / 500


@dataclass
class Case:
    """An answer of one sentence, the passages it was made from, and which of them it is from."""

    sentence: str
    paraphrase: str
    passages: list[Passage]
    gold: int


_QUESTION_WORDS = re.compile(
    r"(?:in |at |on |for |by |from |to )?(?:what|who|when|where|which|how many|how much|how|why|was|wer|wann|wo|welche\w*|wie viele|wie|"
    r"qué|quién|cuándo|dónde|cuál\w*|cuánt\w*|cómo|por qué)\b|是?(?:为什么|什么|哪个|哪些|哪里|哪一年|多少|谁|如何|何时|怎么)",
    re.IGNORECASE,
)


def _cases(name: str, language: str, number: int) -> list[Case]:
    """Sentences of paragraphs, and people's questions about them made statements, each with other paragraphs of the same article and of
    another: `number` of them, always the same."""
    if not JUDGED.is_dir():
        pytest.skip(f"the judged collections are not here: {JUDGED}")
    folder = JUDGED / name
    corpus, questions = (
        {one["_id"]: one["text"] for one in map(json.loads, (folder / file).read_text(encoding="utf-8").splitlines())}
        for file in ("corpus.jsonl", "queries.jsonl")
    )
    gold = dict(line.split("\t")[:2] for line in reversed((folder / "qrels.tsv").read_text().splitlines()[1:]))
    articles = defaultdict(list)
    for page in corpus:
        articles[page.split("#")[0]].append(page)
    chance = random.Random(name)
    cases = []
    for asked in chance.sample(sorted(questions), number):
        page, article = gold[asked], gold[asked].split("#")[0]
        wanted = set(terms(questions[asked], language)) - stop_terms(language)
        text = corpus[page]
        whole = [text[start:end].strip() for start, end in sentence_spans(text, language=language)]
        best = max(
            whole, key=lambda one: len(wanted & set(terms(one, language))) / (len(set(terms(one, language))) + 5)
        )
        same = [one for one in articles[article] if one != page]
        apart = [one for one in corpus if not one.startswith(f"{article}#")]
        order = [page, *chance.sample(same, min(3, len(same))), chance.choice(apart)]
        chance.shuffle(order)
        stem = _QUESTION_WORDS.sub("", questions[asked], count=1).rstrip("?？ ").strip()
        gap = "" if language == "zh" else " "
        words = re.findall(r"\d+|.", best) if language == "zh" else best.split()
        answer = gap.join([word for word in words if not wanted & set(terms(word, language))][:5])
        cases.append(
            Case(
                best.rstrip(".。"),
                f"{stem}{gap}{answer}".rstrip(".。"),
                [Passage(corpus[one]) for one in order],
                order.index(page) + 1,
            )
        )
    return cases


def _caught(sentence: str, number: int, passages: Sequence[Passage]) -> tuple[bool, bool]:
    """Whether a sentence that cites this passage is marked, and whether the mark names the right one."""
    found = check(f"{sentence} [{number}].", passages).sentences
    marked = [one for one in found if one.verdict == "miscited"]
    return bool(marked), any(one.better for one in marked)


@pytest.mark.parametrize(
    ("name", "language", "kind", "recall", "false_alarms"),
    [
        ("squad_a", "en", "sentence", 0.97, 0.02),
        ("squad_a", "en", "paraphrase", 0.9, 0.06),
        ("xquad_de", "de", "sentence", 0.97, 0.02),
        ("xquad_de", "de", "paraphrase", 0.9, 0.08),
        ("xquad_es", "es", "sentence", 0.97, 0.02),
        ("xquad_es", "es", "paraphrase", 0.85, 0.08),
        ("xquad_zh", "zh", "sentence", 0.97, 0.02),
        ("xquad_zh", "zh", "paraphrase", 0.93, 0.08),
    ],
)
def test_shuffled_citations_and_altered_numbers_are_found(
    name: str, language: str, kind: str, recall: float, false_alarms: float
) -> None:
    cases = _cases(name, language, 120)
    right: list[bool] = []
    wrong: list[bool] = []
    named = altered = noticed = 0
    for case in cases:
        text = getattr(case, kind)
        for number in range(1, len(case.passages) + 1):
            marked, better = _caught(text, number, case.passages)
            (right if number == case.gold else wrong).append(marked)
            named += number != case.gold and better
        digits = re.search(r"(?<![\d.,])\d+(?![.,]*\d)", text)
        if digits and (new := str(int(digits[0]) + 7)) not in case.passages[case.gold - 1].text:
            altered += 1
            changed = f"{text[: digits.start()]}{new}{text[digits.end() :]}"
            noticed += _caught(changed, case.gold, case.passages)[0]
    found, alarms = sum(wrong) / len(wrong), sum(right) / len(right)
    # As many right citations as wrong ones, so that precision does not hang on how many passages there are.
    print(
        f"{name} {kind}: {len(wrong)} wrong citations, recall {found:.3f}, precision {found / (found + alarms):.3f}, false alarms "
        f"{alarms:.3f} of {len(right)}, the right one named {named / sum(wrong):.3f}, altered numbers {noticed}/{altered}"
    )
    assert len(wrong) >= 400
    assert found >= recall
    assert alarms <= false_alarms
    assert altered >= 12
    assert noticed >= 0.93 * altered


def test_an_answer_nobody_would_write_is_checked_in_linear_time() -> None:
    from time import process_time

    def cost(times: int) -> float:
        begun = process_time()
        check("The Elbe is long [1-999]. “a " * times, PASSAGES)
        return process_time() - begun

    cost(10)
    assert cost(2000) < 40 * max(cost(200), 0.01)


def test_results_are_what_they_are_said_to_be() -> None:
    checked = check("The Elbe is 1,094 kilometres long [1].", PASSAGES)
    assert isinstance(checked, CheckedAnswer)
    assert checked.sentences[0].cited == (1,)
    assert checked.sentences[0].better is None
