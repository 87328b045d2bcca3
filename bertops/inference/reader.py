"""Reader: how a kind of task turns examples into token ids, and outputs into predictions."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from bertops.inference.card import TaskCard
from bertops.inference.forward import forward

Example = dict[str, Any]
"""What is asked: `text`, `text_b` for pairs, `words` for tags, `sentences` for summaries; in a
split also `label`, and whatever else the kind needs."""

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


@dataclass(frozen=True, slots=True)
class Encoded:
    """Examples with the inputs that they became."""

    examples: Sequence[Example]
    features: Sequence[Features]

    def by_example(self) -> Iterator[tuple[Example, list[int]]]:
        """Each example with the indices of its features."""
        groups: list[list[int]] = [[] for _ in self.examples]
        for index, feature in enumerate(self.features):
            groups[feature.row].append(index)
        return zip(self.examples, groups, strict=True)


@dataclass(frozen=True)
class Reader(ABC):
    """One class for each kind of task, one object for each model."""

    tokenizer: Any
    card: TaskCard
    precision: str = "auto"
    """As for `forward.autocast`."""

    model_class: ClassVar[str]
    """Class of transformers that loads the model."""
    needs: ClassVar[tuple[str, ...]] = ("text",)
    """Keys that an example must have."""

    def complete(self, example: Example) -> Example:
        """Add what can be made from the text: words, sentences. Leaves what is there."""
        return example

    @abstractmethod
    def tokenize(self, examples: Sequence[Example]) -> list[Features]:
        """Token ids of the examples, in their order."""

    @abstractmethod
    def predict(self, model: Any, encoded: Encoded) -> list[Prediction]:
        """One prediction for each example, in their order."""

    def encode(self, examples: Sequence[Example]) -> Encoded:
        """The examples with their token ids."""
        return Encoded(examples, self.tokenize(examples))

    def outputs(
        self, model: Any, encoded: Encoded, read: Callable[[Any, Sequence[int]], Sequence[Any]]
    ) -> list[Any]:
        """What `read` takes from the model's outputs for every feature; see `forward`."""
        inputs = [feature.inputs() for feature in encoded.features]
        return forward(model, inputs, self.tokenizer.pad_token_id, read, self.precision)
