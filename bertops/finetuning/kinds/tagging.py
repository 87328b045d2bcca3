"""A tag for each word: named entities in IOB2; IOB1 is turned into it."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from bertops.finetuning.kinds.base import (
    IGNORED,
    BadRow,
    Baseline,
    Feature,
    TaskKind,
    read_label,
)
from bertops.finetuning.params import TaskParams
from bertops.inference.reader import Encoded, Example, Prediction
from bertops.inference.tag import first_tokens


class Tagging(TaskKind):
    """Words with a tag each; scored by whole entities, as in CoNLL-2003 (seqeval, strict)."""

    packages = ("seqeval",)

    def read(self, values: Mapping[str, Any]) -> Example:
        """`words`, `label` (a tag for each) and `text`, the words with spaces between them."""
        words, tags = _words(values, self.task), _tags(values, self.task)
        if len(words) != len(tags):
            raise BadRow("unequal lists", f"{len(words)} words, {len(tags)} tags", fatal=False)
        return {"text": " ".join(words), "words": words, "label": tags}

    def class_of(self, example: Example) -> str | None:
        """`none` for a sentence without entities: a split of these alone teaches nothing."""
        return None if any(tag != "O" for tag in example["label"]) else "none"

    def identity(self, values: Mapping[str, Any]) -> str:
        """The words."""
        return " ".join(_words(values, self.task))

    def training_rows(self, encoded: Encoded, tokenizer: Any) -> list[Feature]:
        """The first token of a word learns its tag, the others nothing."""
        index = {name: i for i, name in enumerate(self.task.label_names)}
        rows = []
        for feature in encoded.features:
            labels = [IGNORED] * len(feature.input_ids)
            for token, word in first_tokens(feature.places):
                labels[token] = index[encoded.examples[feature.row]["label"][word]]
            rows.append(feature.inputs() | {"labels": labels})
        return rows

    def baselines(
        self, train: Sequence[Example], validation: Sequence[Example]
    ) -> Mapping[str, Baseline]:
        """The most frequent tag of each word."""
        return {"frequent_tag": FrequentTag(train)}


def _words(values: Mapping[str, Any], task: TaskParams) -> list[str]:
    """The list in the column of the text, or in `words`, as files in CoNLL columns have it.

    Raises:
        BadRow: neither is a list.
    """
    for column in (task.columns.text, "words"):
        if isinstance(values.get(column), list):
            return [str(word) for word in values[column]]
    raise BadRow("no list", f"no words in column {task.columns.text!r}; name it in columns.text")


def _tags(values: Mapping[str, Any], task: TaskParams) -> list[str]:
    """Tags that stand in a file by name, by number, or by what `labels` maps from.

    Raises:
        BadRow: no list, or a tag that there is not.
    """
    raw, names = read_label(values, task), task.label_names
    if not isinstance(raw, list):
        raise BadRow("no list", f"{str(raw)[:60]!r} in column {task.columns.label!r}")
    known = {name: name for name in names} | {str(i): name for i, name in enumerate(names)}
    if isinstance(task.labels, dict):
        known = {tag: name for tag, name in task.labels.items() if name in names}
    unknown = [tag for tag in raw if str(tag) not in known]
    if unknown:
        raise BadRow("unknown label", f"{unknown[0]!r} is not among {', '.join(known)}")
    return _begun([known[str(tag)] for tag in raw])


def _begun(tags: list[str]) -> list[str]:
    """The tags in IOB2: an I- that continues nothing, as IOB1 has it, begins an entity."""
    return [
        f"B-{tag[2:]}" if tag.startswith("I-") and last[2:] != tag[2:] else tag
        for last, tag in pairwise(["O", *tags])
    ]


class FrequentTag:
    """The tag that a word had most often in the training rows; O for words that are new."""

    def __init__(self, train: Sequence[Example]) -> None:
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for example in train:
            for word, tag in zip(example["words"], example["label"], strict=True):
                counts[word][tag] += 1
        self._tags = {word: tags.most_common(1)[0][0] for word, tags in counts.items()}

    def predict(self, examples: Sequence[Example]) -> list[Prediction]:
        """Tags."""
        return [
            {"prediction": [self._tags.get(w, "O") for w in e["words"]], "probabilities": None}
            for e in examples
        ]
