"""Document: a text with an identity, and the split that its identity decides."""

import hashlib
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import Field

from bertops.section import Section

Split = Literal["train", "validation", "test"]


def document_id(text: str) -> str:
    """Identity of a text: 32 hexadecimal digits that depend on its characters alone.

    Ids are taken from the text as it was read, before any cleaning, so that changing a cleaning
    rule moves no document between splits. Lone surrogates are hashed as they are.
    """
    raw = text.encode("utf-8", errors="surrogatepass")
    return hashlib.blake2b(raw, digest_size=16).hexdigest()


def has_half_characters(text: str) -> bool:
    """Whether a surrogate without its other is in a text, which no UTF-8 file can hold.

    JSON brings them: `"\\ud83d"` is an emoji that was cut in half.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


@dataclass(frozen=True, slots=True)
class Document:
    """A text and where it came from."""

    id: str
    text: str
    source: str
    """Name of the source in params.yaml."""
    file: str
    """Path of the file as declared, relative to the project where it lies inside."""
    row: int
    """0-based row, line or entry in the file."""
    user_id: str | None = None
    """Id that the user's own column gave."""
    meta: dict[str, Any] = field(default_factory=dict)


class SplitParams(Section):
    """How documents are divided. One division serves corpus and tasks: a document that is test
    data for a task is never pretraining text."""

    validation: float = Field(0.1, ge=0, lt=1, description="Share of documents for validation.")
    test: float = Field(0.2, ge=0, lt=1, description="Share of documents set aside for tests.")
    salt: str = Field("bertops", description="Changes which documents fall where.")


def split_of(id: str, params: SplitParams) -> Split:
    """The split a document belongs to, for ever: a function of its id alone.

    Growing the corpus or reordering it moves no document. Growing `test` takes from `validation`
    and growing `validation` takes from `train`, never the other way round.
    """
    digest = hashlib.blake2b(f"{params.salt}:{id}".encode(), digest_size=8).digest()
    position = int.from_bytes(digest) / 2**64
    if position < params.test:
        return "test"
    if position < params.test + params.validation:
        return "validation"
    return "train"
