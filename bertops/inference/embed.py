"""Last hidden states, and vectors of whole texts."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from bertops.errors import UsageError
from bertops.inference.forward import forward
from bertops.inference.load import Loaded
from bertops.inference.retrieve import vectors

# L tokens of a text, D hidden size, N texts


def hidden_states(loaded: Loaded, texts: Sequence[str]) -> list[np.ndarray]:
    """Last hidden states of every text, float32 [L, D], special tokens included."""

    def read(outputs: Any, lengths: Sequence[int]) -> list[np.ndarray]:
        states = outputs.last_hidden_state.float().cpu().numpy()
        return [row[:length] for row, length in zip(states, lengths, strict=True)]

    return forward(_body(loaded), _inputs(loaded, texts), loaded.tokenizer.pad_token_id, read)


def embed(
    loaded: Loaded, texts: Sequence[str], pooling: Literal["mean", "cls"] = "mean"
) -> np.ndarray:
    """One vector for each text, float32 [N, D]: the mean of its states, or the state of [CLS]."""

    def read(outputs: Any, lengths: Sequence[int]) -> list[np.ndarray]:
        states = outputs.last_hidden_state.float().cpu().numpy()
        rows = zip(states, lengths, strict=True)
        return [row[0] if pooling == "cls" else row[:length].mean(axis=0) for row, length in rows]

    body = _body(loaded)
    values = forward(body, _inputs(loaded, texts), loaded.tokenizer.pad_token_id, read)
    return np.stack(values) if values else np.zeros((0, body.config.hidden_size), np.float32)


def vectors_of(loaded: Loaded, texts: Sequence[str]) -> np.ndarray:
    """One vector of length 1 for each text, float32 [N, D].

    By sentence-transformers where the model is one of its own, else the mean of the last states.
    """
    if loaded.card and loaded.card.kind == "embedding":
        return vectors(loaded.model, [loaded.clean(text) for text in texts])
    raw_ND = embed(loaded, texts)
    return raw_ND / np.maximum(np.linalg.norm(raw_ND, axis=1, keepdims=True), 1e-12)


def _body(loaded: Loaded) -> Any:
    """The encoder without a head."""
    if loaded.card and loaded.card.kind == "translation":
        raise UsageError(f"{loaded.reference} translates; give the encoder that it began with")
    body = getattr(loaded.model, "base_model", None)
    if body is None:
        raise UsageError(
            f"{loaded.reference} is an export, which answers its task alone; "
            "give the directory that it was made from"
        )
    return body


def _inputs(loaded: Loaded, texts: Sequence[str]) -> list[dict[str, list[int]]]:
    if not texts:
        return []
    limit = min(loaded.model.config.max_position_embeddings, loaded.tokenizer.model_max_length)
    encoded = loaded.tokenizer(
        [loaded.clean(text) for text in texts],
        truncation=True,
        max_length=limit,
        return_attention_mask=False,
        return_token_type_ids=False,
    )
    return [{"input_ids": ids} for ids in encoded["input_ids"]]
