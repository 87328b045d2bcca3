"""TaskCard: what inference must know of a fine-tuned model beyond its Hugging Face files."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from bertops.section import Section
from bertops.storage import read_json, write_json

CARD_NAME = "bertops.json"


class TaskCard(Section):
    """Written beside the weights as bertops.json; transformers ignores the file."""

    task: str = Field(description="Name of the task.")
    kind: str = Field(description="Kind of the task.")
    labels: tuple[str, ...] = Field(description="Label names, in the order of the outputs.")
    multi_label: bool = Field(False, description="Any number of labels may hold at once.")
    pair: bool = Field(False, description="The model reads two texts.")
    strip_html: bool = Field(False, description="HTML is taken out of texts before reading.")
    max_length: int = Field(description="Tokens of one input, special ones included.")
    long_texts: Literal["head", "head_tail", "windows"] = Field(
        description="What is read of a longer text."
    )
    metric: str = Field(description="Metric that the model was chosen by.")
    unanswerable: bool = Field(False, description="A question may have no answer.")
    summary_share: float = Field(0.3, description="Share of sentences that a summary keeps.")
    target_length: int = Field(64, description="Tokens of a translation at most.")

    def write(self, directory: Path) -> None:
        """Write the card into a model directory."""
        write_json(directory / CARD_NAME, self.model_dump(mode="json"))


def read_card(directory: Path) -> TaskCard | None:
    """The card of a model directory; None for a model that no task was trained on."""
    path = directory / CARD_NAME
    return TaskCard.model_validate(read_json(path)) if path.exists() else None
