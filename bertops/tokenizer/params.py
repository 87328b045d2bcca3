"""Parameters of the tokenizer."""

from pydantic import Field

from bertops.section import Section


class TokenizerParams(Section):
    """How the WordPiece vocabulary is learned."""

    init_from: str | None = Field(
        None,
        description="Use this tokenizer instead of learning one: a directory, a hub name, "
        "package:NAME/FOLDER or models:/name/version.",
    )
    vocab_size: int = Field(
        6144, ge=100, le=2**20, description="Entries, the five special tokens included."
    )
    lowercase: bool = Field(True, description="Fold case and strip accents before splitting.")
    min_frequency: int = Field(
        2, ge=1, description="Occurrences a pair of pieces needs before it may be merged."
    )
    character_coverage: float = Field(
        0.9999,
        gt=0.9,
        le=1,
        description="Share of all characters that the alphabet covers; rarer ones become [UNK].",
    )
    max_length: int = Field(
        512, ge=8, description="Tokens to which the saved tokenizer truncates when asked to."
    )
