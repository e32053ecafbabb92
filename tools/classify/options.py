"""The labels of a classification: what they are called, what they mean, and how they are told apart."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType

from ...knowledge.errors import InputError, unknown_name
from .matching import Matcher

MOST_OPTIONS = 20_000
LONGEST_LABEL = 300
"""Characters."""

PATH = " > "
"""Between the levels of a label that has several: `Billing > Refund`."""


class Options:
    """A list of labels that does not change, with everything that is worked out from it once.

    :param labels: In the order they are shown.
    :param descriptions: Label → what it means.
    :param examples: Label → texts that belong under it.
    :param uncertain_label: What is chosen when no other label fits; the last of the list.
    :param case_sensitive: Whether labels that differ in capitals only are different answers.
    :raises InputError: no label, an empty or very long one, or one twice; or something is said of a label that is not there.
    :raises ConfigError: RapidFuzz is not installed.
    """

    def __init__(
        self,
        labels: Iterable[str],
        descriptions: Mapping[str, str] | None = None,
        examples: Mapping[str, Sequence[str]] | None = None,
        *,
        uncertain_label: str | None = None,
        case_sensitive: bool = False,
    ) -> None:
        given = checked(labels)
        if uncertain_label is not None and uncertain_label not in given:
            given = (*given, *checked([uncertain_label]))
        self.labels = given
        self.uncertain_label = uncertain_label
        self.case_sensitive = case_sensitive
        self.descriptions: Mapping[str, str] = MappingProxyType(dict(descriptions or {}))
        self.examples: Mapping[str, Sequence[str]] = MappingProxyType(
            {label: tuple(texts) for label, texts in (examples or {}).items()}
        )
        for label in (*self.descriptions, *self.examples):
            if label not in given:
                raise unknown_name("label", label, given)
        self.matcher = Matcher(given, case_sensitive=case_sensitive)

    @property
    def ids(self) -> Mapping[str, str]:
        """Short id → label: `a1`, `a2` …, of a letter that no label can be mixed up with."""
        return self.matcher.ids

    @cached_property
    def fingerprint(self) -> str:
        """The same for the same labels in the same order with the same descriptions and examples, and for nothing else."""
        told = [
            self.labels,
            sorted(self.descriptions.items()),
            sorted(self.examples.items()),
            self.uncertain_label,
            self.case_sensitive,
        ]
        return hashlib.sha256(json.dumps(told, ensure_ascii=True).encode()).hexdigest()

    def only(self, labels: Sequence[str]) -> Options:
        """A part of the list, in the order given, with the uncertain label."""
        return Options(
            [label for label in labels if label != self.uncertain_label],
            {label: self.descriptions[label] for label in labels if label in self.descriptions},
            {label: self.examples[label] for label in labels if label in self.examples},
            uncertain_label=self.uncertain_label,
            case_sensitive=self.case_sensitive,
        )


class OptionList:
    """The labels of a pipeline, which may be changed by one thread while others classify: whoever has begun keeps the list it began with.

    :param labels: `None` for no list of its own.
    """

    def __init__(
        self,
        labels: Sequence[str] | None,
        descriptions: Mapping[str, str] | None,
        examples: Mapping[str, Sequence[str]] | None,
        *,
        uncertain_label: str | None,
        case_sensitive: bool,
    ) -> None:
        self._lock = threading.Lock()
        self._descriptions = dict(descriptions or {})
        self._examples = dict(examples or {})
        self._uncertain = uncertain_label
        self._case_sensitive = case_sensitive
        self._labels = None if labels is None else checked(labels)
        self._prepared: Options | None = None

    def labels(self) -> list[str] | None:
        """As they were given, without the uncertain label."""
        labels = self._labels
        return None if labels is None else list(labels)

    def replace(self, labels: Iterable[str]) -> None:
        """Another list; descriptions and examples of labels it has too stay."""
        with self._lock:
            self._labels, self._prepared = checked(labels), None

    def add(self, label: str, description: str | None) -> None:
        """One more label, at the end.

        :raises InputError: it is there already, or cannot be a label.
        """
        with self._lock:
            self._labels, self._prepared = checked([*(self._labels or ()), label]), None
            if description is not None:
                self._descriptions[label] = description

    def remove(self, label: str) -> None:
        """One label less.

        :raises UnknownNameError: it is not there.
        :raises InputError: it is the last one.
        """
        with self._lock:
            if label not in (self._labels or ()):
                raise unknown_name("label", label, self._labels or ())
            self._labels = checked(other for other in self._labels or () if other != label)
            self._prepared = None
            self._descriptions.pop(label, None)
            self._examples.pop(label, None)

    def prepared(self) -> Options | None:
        """The list as it is now."""
        with self._lock:
            if self._prepared is None and self._labels is not None:
                self._prepared = self._prepare(self._labels)
            return self._prepared

    def of(self, labels: Iterable[str]) -> Options:
        """Another list for one call, with the descriptions and examples this one has for its labels."""
        with self._lock:
            return self._prepare(checked(labels))

    def _prepare(self, labels: tuple[str, ...]) -> Options:
        known = {*labels, self._uncertain}
        return Options(
            labels,
            {label: text for label, text in self._descriptions.items() if label in known},
            {label: texts for label, texts in self._examples.items() if label in known},
            uncertain_label=self._uncertain,
            case_sensitive=self._case_sensitive,
        )


def checked(labels: Iterable[str]) -> tuple[str, ...]:
    """Labels that can be told apart.

    :raises InputError: there are none or too many, or one is no text, empty, too long, or there twice.
    """
    if isinstance(labels, str):
        raise InputError("The options are one text.", "Give a list of labels.")
    found = tuple(labels)
    if not found:
        raise InputError("There are no options to choose from.", "Give at least one label.")
    if len(found) > MOST_OPTIONS:
        raise InputError(f"There are {len(found)} options.", f"Give at most {MOST_OPTIONS}; split the list in levels.")
    seen: set[str] = set()
    for label in found:
        if not isinstance(label, str) or not label.strip():
            raise InputError(f"{label!r} is no label.", "Give texts that are not empty.")
        if len(label) > LONGEST_LABEL:
            raise InputError(
                f"The label {label[:40]!r}… has {len(label)} characters.",
                f"Call it something of at most {LONGEST_LABEL}, and put the rest into its description.",
            )
        if label in seen:
            raise InputError(f"The option {label!r} is there twice.", "Give every label once.")
        seen.add(label)
    return found
