"""Weights to carry on from, checked before they are used."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bertops.errors import UsageError
from bertops.model.build import DROPOUTS, padded_vocab_size
from bertops.tokenizer.load import Vocab

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel


class InitialModelUnfit(UsageError):
    """The model that training is to carry on from does not fit the parameters or the data."""

    def __init__(self, origin: str | Path, why: str) -> None:
        self.origin = origin
        super().__init__(f"model.init_from {origin}: {why}")


def load_initial(
    origin: str | Path,
    vocab: Vocab,
    row_length: int,
    next_sentence: bool,
    *,
    architecture: str,
    dropout: float,
) -> PreTrainedModel:
    """A stock masked-LM model with the weights of `origin`, fp32, in training mode.

    Heads that `origin` lacks are new. Code that comes with a model is never run.

    Args:
        vocab: of the tokenizer that the token store was written with.
        architecture: what it must be, bert or modernbert.
        dropout: share dropped while training, in place of its own.

    Raises:
        InitialModelUnfit: it cannot be read, is of another architecture, has fewer positions than
            a row, or another tokenizer: its embeddings would stand for other tokens.
    """
    import torch
    from transformers import AutoConfig, AutoModelForMaskedLM, AutoModelForPreTraining

    _refuse_other_tokenizer(origin, vocab)
    auto = AutoModelForPreTraining if next_sentence else AutoModelForMaskedLM
    try:
        config = AutoConfig.from_pretrained(origin, trust_remote_code=False)
        _refuse_unfit(origin, config, vocab, row_length, architecture)
        for name in DROPOUTS[architecture]:
            setattr(config, name, dropout)
        model = auto.from_pretrained(
            origin,
            config=config,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
        )
    except (OSError, ValueError) as error:
        raise InitialModelUnfit(origin, f"cannot be loaded ({error})") from error
    if config.vocab_size % 64:
        model.resize_token_embeddings(padded_vocab_size(config.vocab_size))
    return model.train()


def _refuse_unfit(
    origin: str | Path, config: PretrainedConfig, vocab: Vocab, row_length: int, architecture: str
) -> None:
    kind = config.model_type
    if kind not in DROPOUTS:
        raise InitialModelUnfit(origin, f"is a {kind}; expected bert or modernbert")
    if kind != architecture:
        raise InitialModelUnfit(
            origin, f"is a {kind}; set model.architecture to {kind}, it is {architecture}"
        )
    if config.max_position_embeddings < row_length:
        raise InitialModelUnfit(
            origin,
            f"has {config.max_position_embeddings} positions, fewer than "
            f"pretraining.packing.row_length ({row_length})",
        )
    if config.vocab_size < vocab.size:
        raise InitialModelUnfit(
            origin, f"has {config.vocab_size} embeddings for a vocabulary of {vocab.size}"
        )


def _refuse_other_tokenizer(origin: str | Path, vocab: Vocab) -> None:
    from transformers import AutoTokenizer

    try:
        theirs = AutoTokenizer.from_pretrained(origin, trust_remote_code=False).get_vocab()
    except (OSError, ValueError) as error:
        raise InitialModelUnfit(origin, f"its tokenizer cannot be loaded ({error})") from error
    ours = vocab.pieces
    other = sum(theirs.get(piece) != id for piece, id in ours.items())
    if other or len(theirs) != len(ours):
        raise InitialModelUnfit(
            origin,
            f"{other:,} of our {len(ours):,} tokens have another id or none in its tokenizer "
            f"({len(theirs):,} tokens). Set tokenizer.init_from to the same model and run the "
            "tokenizer and tokenize stages again.",
        )
