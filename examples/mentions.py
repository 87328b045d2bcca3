"""A task with several labels a text, made of tagged sentences: which types of entity does one name?

    python -m examples.mentions data/kinds/ner-gum

Reads every CoNLL file of the folder and writes JSON Lines beside it, `train.jsonl` for
`train.conll.gz`, with `text` and `label`, the list of the types that the sentence names (none is an
empty list). The task `mentions` of `params/kinds.yaml` learns from them.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bertops.errors import BertopsError, UsageError
from bertops.finetuning.formats import format_of, read_rows
from bertops.finetuning.params import DataFile
from bertops.storage import write_text


def main() -> None:
    """Write a file for each one found."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    try:
        found = [path for path in sorted(folder.glob("*")) if format_of(path) == "conll"]
        if not found:
            raise UsageError(f"no CoNLL files in {folder}: name the folder that holds them")
        for path in found:
            target = path.with_name(path.name.split(".")[0] + ".jsonl")
            lines = [json.dumps(row, ensure_ascii=False) for row in mentions(path)]
            write_text(target, "\n".join(lines) + "\n")
            print(f"{target}: {len(lines):,} sentences")
    except BertopsError as error:
        sys.exit(f"error: {error}")


def mentions(path: Path) -> Iterator[dict[str, Any]]:
    """Sentences of a CoNLL file, each with the types of its entities in alphabetical order.

    Raises:
        TaskFileUnreadable: the file is damaged.
    """
    for row in read_rows(DataFile(path=path.name, split="train"), path.parent):
        types = {tag.partition("-")[2] for tag in row.values["label"] if tag != "O"}
        yield {"text": " ".join(row.values["words"]), "label": sorted(types)}


if __name__ == "__main__":
    main()
