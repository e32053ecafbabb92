"""A classifier of this machine: words, pairs of words and parts of words, weighed by tf-idf, and a linear model that knows when it is not sure."""

from __future__ import annotations

import io
import json
import math
import random
import re
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ...knowledge.errors import ConfigError, CorruptError, InputError
from .calibration import expected_error, reliability, separation, sharpness, softmax, threshold_for

if TYPE_CHECKING:
    from numpy.typing import NDArray

VERSION = 1
FOLDS = 5
LEAST_TIMES = 2
"""Terms of fewer texts are dropped; of a handful of texts, none is."""
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_REGULARISATION = 0.5  # C of the linear SVM: measured on Banking77 (.5: 90.4 %, 2: 90.2 %)
_PARTS = (3, 4, 5)  # characters
_LONGEST = 2_000  # characters of a text that are read


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model says of a text.

    :param label: `None` when it is not sure enough: it abstains.
    :param probability: Of the likeliest label, calibrated.
    :param scores: Label → probability.
    """

    label: str | None
    probability: float
    scores: dict[str, float]


@dataclass(frozen=True, slots=True)
class Measured:
    """What cross-validation says of a model: every number is of texts it had not seen.

    :param examples: How many there were, and `labels` of how many labels.
    :param accuracy: If it always answered.
    :param macro_f1: The mean over the labels.
    :param ece_before: Expected calibration error of the bare scores, and `ece` after scaling with a factor from the other folds.
    :param threshold: The confidence from which on it answers; above 1 when it never can be sure enough.
    :param coverage: The share of texts it answers then, and `precision` the share of those answers that is right.
    :param auroc: How well the confidence tells texts that have a label from those that have none; `None` when none of those were given.
    """

    examples: int
    labels: int
    accuracy: float
    macro_f1: float
    ece_before: float
    ece: float
    threshold: float
    coverage: float
    precision: float
    auroc: float | None


class LocalClassifier:
    """A trained model. Made by `train` or `loaded`; safe to share between threads.

    :param labels: Those it can answer.
    :param known: Those that may be offered; one without examples is never answered.
    :param vocabulary: Term → row.
    :param idf: (terms,).
    :param weights: (terms, labels).
    :param bias: (labels,).
    """

    def __init__(
        self,
        labels: Sequence[str],
        known: Iterable[str],
        vocabulary: dict[str, int],
        idf: NDArray[Any],
        weights: NDArray[Any],
        bias: NDArray[Any],
        factor: float,
        measured: Measured,
    ) -> None:
        self.labels = list(labels)
        self.known = frozenset(known)
        self.measured = measured
        self._vocabulary, self._idf, self._weights, self._bias = vocabulary, idf, weights, bias
        self._factor = factor

    def predict(self, text: str, options: Sequence[str]) -> Prediction:
        """The label of a text, of those in `options`.

        It abstains when it is not sure, and when an option is offered that it was not trained to tell from the others.
        """
        import numpy as np

        places, values = _weighed(terms(text), self._vocabulary, self._idf)
        raw = np.asarray(values, np.float32) @ self._weights[places].astype(np.float32) + self._bias
        likely = dict(zip(self.labels, softmax(raw * self._factor).tolist(), strict=True))
        scores = {option: likely.get(option, 0.0) for option in options}
        best = max(scores, key=scores.__getitem__, default=None)
        probability = scores[best] if best is not None else 0.0
        sure = bool(places) and probability >= self.measured.threshold and self.known.issuperset(options)
        return Prediction(best if sure else None, probability, scores)

    def saved(self) -> bytes:
        """The model as arrays and JSON: data that executes nothing when it is read."""
        import numpy as np

        about = {
            "version": VERSION,
            "labels": self.labels,
            "known": sorted(self.known),
            "terms": list(self._vocabulary),
            "factor": self._factor,
            "measured": asdict(self.measured),
        }
        held = io.BytesIO()
        told = np.frombuffer(json.dumps(about).encode(), np.uint8)
        np.savez(held, about=told, idf=self._idf, weights=self._weights, bias=self._bias)
        return held.getvalue()


def loaded(data: bytes) -> LocalClassifier:
    """A model that was saved.

    :raises CorruptError: it is none, or of another version.
    """
    import numpy as np

    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as held:
            about = json.loads(held["about"].tobytes())
            idf, weights, bias = held["idf"], held["weights"], held["bias"]
        labels, found = about["labels"], about["terms"]
        vocabulary = {term: row for row, term in enumerate(found)}
        factor, measured = float(about["factor"]), Measured(**about["measured"])
        shapes = (idf.shape, weights.shape, bias.shape, len(vocabulary))
        fits = about["version"] == VERSION and shapes == (
            (len(found),),
            (len(found), len(labels)),
            (len(labels),),
            len(found),
        )
    except (ValueError, TypeError, KeyError, OSError, EOFError, zipfile.BadZipFile):
        fits = False
    if not fits:
        raise CorruptError("This is no local classifier of this version.", "Train it again.")
    return LocalClassifier(labels, about["known"], vocabulary, idf, weights, bias, factor, measured)


def train(
    examples: Sequence[tuple[str, str]],
    options: Iterable[str] = (),
    *,
    outside: Sequence[str] = (),
    precision: float = 0.95,
    seed: int = 0,
) -> LocalClassifier:
    """Train on texts with their labels, and measure by cross-validation.

    :param options: Labels that will be offered; those without examples are never answered.
    :param outside: Texts that belong under no label: they only help to choose the threshold.
    :param precision: The share of its answers that must be right: below the confidence that reaches it, the model abstains.
    :raises InputError: there are fewer than two labels, or one has no two examples.
    :raises ConfigError: scikit-learn is not installed.
    """
    import numpy as np

    labels = sorted({label for _, label in examples})
    counts = Counter(label for _, label in examples)
    if len(labels) < 2:
        raise InputError("The examples have fewer than two labels.", "Correct or label more texts first.")
    if few := [label for label in labels if counts[label] < 2]:
        raise InputError(f"The label {few[0]!r} has one example.", "Give every label at least two, or leave it out.")
    place = {label: number for number, label in enumerate(labels)}
    truth = np.array([place[label] for _, label in examples])
    read = [terms(text) for text, _ in examples]
    fold = _folds(truth.tolist(), seed)
    scores = np.zeros((len(read), len(labels)), np.float32)
    for number in range(int(fold.max()) + 1):
        rest, held = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        vocabulary, idf, weights, bias = _fitted([read[i] for i in rest], truth[rest], len(labels))
        scores[held] = _matrix([read[i] for i in held], vocabulary, idf) @ weights + bias
    vocabulary, idf, weights, bias = _fitted(read, truth, len(labels))
    factor = sharpness(scores, truth)
    strange = softmax((_matrix([terms(t) for t in outside], vocabulary, idf) @ weights + bias) * factor).max(axis=1)
    measured = _measured(scores, truth, fold, strange if len(outside) else None, precision)
    return LocalClassifier(
        labels, {*labels, *options}, vocabulary, idf, weights.astype(np.float16), bias, factor, measured
    )


def terms(text: str) -> list[str]:
    """What a text is known by: words, pairs of words and parts of words, each kind with its own first letter."""
    words = _WORD.findall(text[:_LONGEST].lower())
    found = ["w" + word for word in words]
    if words:
        found += [f"b{one} {other}" for one, other in zip(["^", *words], [*words, "$"], strict=True)]
    for word in words:
        padded = f" {word} "
        found += [f"c{padded[at : at + size]}" for size in _PARTS for at in range(len(padded) - size + 1)]
    return found


def _weighed(found: list[str], vocabulary: dict[str, int], idf: NDArray[Any]) -> tuple[list[int], list[float]]:
    """Rows and tf-idf of the known terms of a text; words and their parts each of length 1, so that neither drowns the other."""
    rows = [(vocabulary[term], term[0] == "c", n) for term, n in Counter(found).items() if term in vocabulary]
    weighed = [((1 + math.log(n)) * float(idf[row]), part) for row, part, n in rows]
    length = {kind: math.sqrt(sum(v * v for v, part in weighed if part is kind)) for kind in (True, False)}
    return [row for row, _, _ in rows], [value / length[part] for value, part in weighed]


def _matrix(read: list[list[str]], vocabulary: dict[str, int], idf: NDArray[Any]) -> Any:
    import numpy as np
    from scipy.sparse import csr_matrix  # type: ignore[import-untyped]  # it has no stubs

    ends, places, values = [0], [], []
    for found in read:
        rows, weights = _weighed(found, vocabulary, idf)
        places += rows
        values += weights
        ends.append(len(places))
    return csr_matrix((np.array(values, np.float32), places, ends), shape=(len(read), len(vocabulary)))


def _fitted(
    read: list[list[str]], truth: NDArray[Any], labels: int
) -> tuple[dict[str, int], NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Vocabulary, idf, weights and bias of a linear SVM, one label against the rest; a label without examples is always unlikely."""
    import numpy as np

    try:
        from sklearn.svm import LinearSVC
    except ImportError:
        raise ConfigError(
            "Training a classifier needs scikit-learn.", "Install it: pip install 'racto[classify]'"
        ) from None
    times = Counter(term for found in read for term in set(found))
    least = LEAST_TIMES if len(read) > 100 else 1
    kept = sorted(term for term, n in times.items() if n >= least)
    if not kept:
        raise InputError("The examples have no words.", "Give texts with letters or digits.")
    idf = np.array([math.log((1 + len(read)) / (1 + times[term])) + 1 for term in kept], np.float32)
    vocabulary = {term: row for row, term in enumerate(kept)}
    model = LinearSVC(C=_REGULARISATION, tol=1e-2, max_iter=10_000, random_state=0)
    model.fit(_matrix(read, vocabulary, idf), truth)
    found, bias_found = model.coef_.T, model.intercept_
    if len(model.classes_) == 2:  # scikit-learn keeps one column for two labels
        found, bias_found = np.hstack([-found, found]), np.array([-bias_found[0], bias_found[0]])
    weights, bias = np.zeros((len(kept), labels), np.float32), np.full(labels, -1.0, np.float32)
    weights[:, model.classes_], bias[model.classes_] = found, bias_found
    return vocabulary, idf, weights, bias


def _folds(truth: list[int], seed: int) -> NDArray[Any]:
    """The fold of each text: of every label about as many in each."""
    import numpy as np

    members: dict[int, list[int]] = defaultdict(list)
    for row, label in enumerate(truth):
        members[label].append(row)
    fold, dice = np.zeros(len(truth), int), random.Random(seed)  # noqa: S311  # folds, no secret
    folds = min(FOLDS, max(map(len, members.values())))
    for rows in members.values():
        dice.shuffle(rows)
        for number, row in enumerate(rows):
            fold[row] = number % folds
    return fold


def _measured(
    scores: NDArray[Any], truth: NDArray[Any], fold: NDArray[Any], strange: NDArray[Any] | None, precision: float
) -> Measured:
    import numpy as np

    guess = scores.argmax(axis=1)
    right = guess == truth
    scaled = np.zeros(len(truth))
    for number in range(int(fold.max()) + 1):
        held = fold == number
        scaled[held] = softmax(scores[held] * sharpness(scores[~held], truth[~held])).max(axis=1)
    both, good = scaled, right
    if strange is not None:
        both, good = np.concatenate([scaled, strange]), np.concatenate([right, np.zeros(len(strange), bool)])
    threshold = threshold_for(both, good, precision)
    sure = scaled >= threshold
    hits = np.bincount(guess[right], minlength=scores.shape[1])
    f1 = 2 * hits / np.maximum(np.bincount(guess, minlength=scores.shape[1]) + np.bincount(truth), 1)
    return Measured(
        examples=len(truth),
        labels=scores.shape[1],
        accuracy=float(right.mean()),
        macro_f1=float(f1.mean()),
        ece_before=expected_error(reliability(softmax(scores).max(axis=1), right)),
        ece=expected_error(reliability(scaled, right)),
        threshold=threshold,
        coverage=float(sure.mean()),
        precision=float(right[sure].mean()) if sure.any() else 0.0,
        auroc=None if strange is None else separation(scaled, strange),
    )
