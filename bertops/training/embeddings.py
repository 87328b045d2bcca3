"""Where the token embeddings start from."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor
from transformers import PreTrainedModel

from bertops.pretraining.cooccurrence import cooccurrence_vectors
from bertops.pretraining.store import TokenStore
from bertops.training.params import EmbeddingParams


def start_embeddings(
    model: PreTrainedModel, store: TokenStore, params: EmbeddingParams, seed: int
) -> None:
    """Give each token that was seen its co-occurrence vector, where `params` ask for that.

    The vectors get the spread of fresh weights, so that every other rate and scale stays right;
    the output layer is tied to the embeddings and starts from the same vectors. Special tokens
    and unseen ones keep their random start.
    """
    if params.start == "random":
        return
    weight_VD = cast(Tensor, model.get_input_embeddings().weight)
    vocab_size, dimensions = weight_VD.shape
    vectors_VD, seen_V = cooccurrence_vectors(
        store, vocab_size, dimensions, params.window, params.most_tokens, seed
    )
    spread = model.config.initializer_range * math.sqrt(dimensions)
    with torch.no_grad():
        seen = torch.from_numpy(seen_V)
        weight_VD[seen] = torch.from_numpy(vectors_VD)[seen].to(weight_VD) * spread
