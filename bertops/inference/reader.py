"""Reader: how a kind of task turns examples into token ids, and outputs into predictions."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from bertops.inference.card import TaskCard

Example = Mapping[str, Any]
"""What is asked: `text`, `text_b` for pairs, `words` for tags, `sentences` for summaries."""

Prediction = dict[str, Any]
"""`prediction`, `probabilities` (or None), and what else the kind has to say."""


@dataclass(frozen=True, slots=True)
class Features:
    """One input of the model; a text read in windows gives several."""

    row: int
    """Index of the example it comes from."""
    input_ids: list[int]
    token_type_ids: list[int] | None
    places: Any = None
    """For each token, where in the example it stands; what that means is the reader's."""

    def inputs(self) -> dict[str, list[int]]:
        """Arguments of the model, without padding."""
        inputs = {"input_ids": self.input_ids}
        if self.token_type_ids is not None:
            inputs["token_type_ids"] = self.token_type_ids
        return inputs


class Reader(ABC):
    """One for each kind of task. It has no state."""

    model_class: ClassVar[str]
    """Class of transformers that loads the model."""
    needs: ClassVar[tuple[str, ...]] = ("text",)
    """Keys that an example must have."""

    def complete(self, example: Example, tokenizer: Any) -> Example:
        """Add what can be made from the text: words, sentences. Leaves what is there."""
        return example

    @abstractmethod
    def encode(self, examples: Sequence[Example], tokenizer: Any, card: TaskCard) -> list[Features]:
        """Token ids of the examples, in their order."""

    @abstractmethod
    def predict(
        self,
        model: Any,
        features: Sequence[Features],
        examples: Sequence[Example],
        tokenizer: Any,
        card: TaskCard,
        precision: str = "auto",
    ) -> list[Prediction]:
        """One prediction for each example, in their order."""


def group_by_row(features: Sequence[Features]) -> list[list[int]]:
    """Indices of the features of each example."""
    groups: list[list[int]] = [[] for _ in range(max(f.row for f in features) + 1)]
    for index, feature in enumerate(features):
        groups[feature.row].append(index)
    return groups
