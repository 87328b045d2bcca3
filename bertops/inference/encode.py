"""Texts to token ids, and what is read of texts that are too long."""

from collections.abc import Sequence
from typing import Any

from bertops.inference.card import TaskCard
from bertops.inference.reader import Features

_CHUNK_ROWS = 1000
_WINDOW_OVERLAP = 0.25


def encode(
    texts: Sequence[str], second: Sequence[str] | None, tokenizer: Any, card: TaskCard
) -> list[Features]:
    """Token ids of texts or of pairs, in their order, at most `card.max_length` tokens each.

    `head_tail` keeps as many tokens from the end as from the beginning: the end of a review holds
    its verdict (Sun et al. 2019, "How to fine-tune BERT for text classification?", section 5.3).
    Of a pair the longer text is cut, from its end.
    """
    encode_chunk = _head_tail if card.long_texts == "head_tail" and second is None else _cut
    features: list[Features] = []
    for start in range(0, len(texts), _CHUNK_ROWS):
        stop = start + _CHUNK_ROWS
        pairs = list(second[start:stop]) if second is not None else None
        features += encode_chunk(list(texts[start:stop]), pairs, tokenizer, card, start)
    return features


def _cut(
    texts: list[str], second: list[str] | None, tokenizer: Any, card: TaskCard, first: int
) -> list[Features]:
    """The beginning of each text, or all of it in overlapping windows.

    A window slides over the first text of a pair; the second is repeated in each.
    """
    windows = card.long_texts == "windows"
    truncation = "longest_first"
    if windows and second:
        truncation = "only_first"
        second = cut_repeated(second, tokenizer, card.max_length)
    encoded = tokenizer(
        texts,
        second,
        truncation=truncation,
        max_length=card.max_length,
        stride=int(card.max_length * _WINDOW_OVERLAP) if windows else 0,
        return_overflowing_tokens=windows,
        return_attention_mask=False,
    )
    rows = encoded["overflow_to_sample_mapping"] if windows else range(len(texts))
    types = encoded.get("token_type_ids") or [None] * len(encoded["input_ids"])
    ids = encoded["input_ids"]
    return [Features(first + row, i, t) for row, i, t in zip(rows, ids, types, strict=True)]


def cut_repeated(texts: Sequence[str], tokenizer: Any, max_length: int) -> list[str]:
    """Texts that every window of a pair repeats, cut to half of its room.

    What slides has the other half, which is more than the overlap of its windows: the tokenizer
    panics where it is less.
    """
    limit = (max_length - tokenizer.num_special_tokens_to_add(pair=True)) // 2
    encoded = tokenizer(list(texts), add_special_tokens=False, return_offsets_mapping=True)
    return [
        text[: places[limit - 1][1]] if len(places) > limit else text
        for text, places in zip(texts, encoded["offset_mapping"], strict=True)
    ]


def _head_tail(
    texts: list[str], second: list[str] | None, tokenizer: Any, card: TaskCard, first: int
) -> list[Features]:
    """Beginning and end of each text, half of the room for each; `second` is None."""
    ids = tokenizer(texts, add_special_tokens=False, return_attention_mask=False)["input_ids"]
    typed = "token_type_ids" in tokenizer.model_input_names
    room = card.max_length - 2
    features = []
    for row, tokens in enumerate(ids):
        if len(tokens) > room:
            tokens = tokens[: room - room // 2] + tokens[-(room // 2) :]
        tokens = [tokenizer.cls_token_id, *tokens, tokenizer.sep_token_id]
        features.append(Features(first + row, tokens, [0] * len(tokens) if typed else None))
    return features
