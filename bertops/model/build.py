"""Parameters → a stock transformers model with fresh weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bertops.model.params import ModelParams
from bertops.tokenizer.load import Vocab

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

DROPOUTS = {
    "bert": ("hidden_dropout_prob", "attention_probs_dropout_prob"),
    "modernbert": ("attention_dropout", "embedding_dropout", "mlp_dropout"),
}
"""Where each architecture drops while it is pretrained."""
VOCAB_MULTIPLE = 64  # matrix products on every device prefer it


def padded_vocab_size(size: int) -> int:
    """The next multiple of 64; the ids above `size` exist and never occur."""
    return -(-size // VOCAB_MULTIPLE) * VOCAB_MULTIPLE


def build_model(
    params: ModelParams, vocab: Vocab, seed: int, next_sentence: bool = False
) -> PreTrainedModel:
    """A `BertForMaskedLM` or `ModernBertForMaskedLM` with weights drawn from `seed`.

    In fp32, on the CPU, in training mode.

    Args:
        next_sentence: `BertForPreTraining` instead, which also has the head that tells whether a
            segment follows another.
    """
    import torch
    from transformers import AutoModelForMaskedLM, AutoModelForPreTraining

    auto = AutoModelForPreTraining if next_sentence else AutoModelForMaskedLM
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = auto.from_config(build_config(params, vocab))
    return model.train()


def build_config(params: ModelParams, vocab: Vocab) -> PretrainedConfig:
    """The transformers configuration for these parameters."""
    make = _bert_config if params.architecture == "bert" else _modern
    config = make(params, vocab)
    config.update(dict.fromkeys(DROPOUTS[params.architecture], params.dropout))
    return config


def _bert_config(params: ModelParams, vocab: Vocab) -> PretrainedConfig:
    from transformers import BertConfig

    shape = params.shape
    return BertConfig(
        vocab_size=padded_vocab_size(vocab.size),
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=shape.intermediate,
        max_position_embeddings=params.max_positions,
        initializer_range=params.initializer_range,
        pad_token_id=vocab.pad,
    )


def _modern(params: ModelParams, vocab: Vocab) -> PretrainedConfig:
    from transformers import ModernBertConfig

    shape = params.shape
    return ModernBertConfig(
        vocab_size=padded_vocab_size(vocab.size),
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=shape.intermediate,
        max_position_embeddings=params.max_positions,
        initializer_range=params.initializer_range,
        local_attention=params.local_attention,
        layer_types=layer_types(shape.layers, params.attention_pattern),
        classifier_pooling=params.classifier_pooling,
        pad_token_id=vocab.pad,
        cls_token_id=vocab.cls,
        sep_token_id=vocab.sep,
        bos_token_id=vocab.cls,
        eos_token_id=vocab.sep,
    )


def layer_types(layers: int, pattern: str) -> list[str]:
    """What each layer sees: `pattern` (G everything, L the neighbourhood) repeated over them."""
    kinds = {"G": "full_attention", "L": "sliding_attention"}
    return [kinds[pattern[layer % len(pattern)]] for layer in range(layers)]
