"""Parameters of the data path, from documents to batches."""

from typing import Literal, Self

from pydantic import Field, model_validator

from bertops.section import Section

Segmenter = Literal["jieba"]
"""What cuts text without spaces into words."""


class TokenizeParams(Section):
    """How text becomes a token store. Nothing here changes the ids."""

    shard_tokens: int = Field(
        2**28, ge=1024, description="Tokens after which a new file is begun; documents stay whole."
    )
    segmenter: Segmenter | None = Field(
        None,
        description="Also note which characters of Chinese make a word, for masking.whole_words.",
    )


class PackingParams(Section):
    """How documents fill rows."""

    row_length: int = Field(
        128, ge=8, description="Tokens in a row, [CLS], [SEP] and padding included."
    )


class MaskingParams(Section):
    """Which tokens are hidden for the masked-LM objective."""

    rate: float = Field(
        0.15, gt=0, lt=1, description="Share of maskable tokens to predict, in every row alike."
    )
    keep_share: float = Field(0.1, ge=0, le=1, description="Share of those left unchanged.")
    random_share: float = Field(0.1, ge=0, le=1, description="Share of those made random.")
    whole_words: bool = Field(False, description="Hide all pieces of a word or none.")

    @model_validator(mode="after")
    def _some_become_mask(self) -> Self:
        if self.keep_share + self.random_share >= 1:
            raise ValueError("keep_share + random_share leaves no token to become [MASK]")
        return self


class PretrainingParams(Section):
    """What the model is shown and asked."""

    objective: Literal["mlm", "mlm_nsp"] = Field(
        "mlm",
        description="mlm: predict hidden tokens. mlm_nsp: and whether a segment follows another.",
    )
    tokenize: TokenizeParams = TokenizeParams()
    packing: PackingParams = PackingParams()
    masking: MaskingParams = MaskingParams()

    @model_validator(mode="after")
    def _words_are_masked_whole(self) -> Self:
        if self.tokenize.segmenter and not self.masking.whole_words:
            raise ValueError(
                f"tokenize.segmenter: {self.tokenize.segmenter} tells which characters make a "
                "word, for masking whole words; set masking.whole_words to true"
            )
        return self
