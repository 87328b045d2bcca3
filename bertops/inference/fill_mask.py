"""What a masked language model puts in place of [MASK]."""

from collections.abc import Sequence
from dataclasses import dataclass

from bertops.errors import UsageError
from bertops.inference.forward import autocast, pad
from bertops.inference.load import Loaded


@dataclass(frozen=True)
class Filling:
    """A proposal for one [MASK]."""

    token: str
    probability: float
    text: str
    """The whole text with the proposal in place."""


def fill_mask(loaded: Loaded, texts: Sequence[str], top: int = 5) -> list[list[list[Filling]]]:
    """The `top` likeliest tokens for every mask of every text, best first: [text][mask][rank].

    Raises:
        UsageError: a text has no mask, or more tokens than the model has positions.
    """
    import torch

    tokenizer, model = loaded.tokenizer, loaded.model
    found = []
    for text in texts:
        if (problem := problem_of(loaded, text)) is not None:
            raise UsageError(f"{problem}: {text[:60]!r}")
        ids = tokenizer(text)["input_ids"]
        places = [i for i, token in enumerate(ids) if token == tokenizer.mask_token_id]
        inputs = {k: v.to(model.device) for k, v in pad([{"input_ids": ids}], 0).items()}
        with torch.inference_mode(), autocast(model.device):
            logits = model(**inputs).logits[0, places].float()
        best = logits.softmax(-1).topk(min(top, logits.shape[-1]))
        found.append(
            [
                [
                    _fill(loaded, ids, place, int(token), float(p))
                    for p, token in zip(probabilities, tokens, strict=True)
                ]
                for place, probabilities, tokens in zip(places, *best, strict=True)
            ]
        )
    return found


def problem_of(loaded: Loaded, text: str) -> str | None:
    """Why no mask of a text can be filled; None when all can."""
    ids = loaded.tokenizer(text)["input_ids"]
    if loaded.tokenizer.mask_token_id not in ids:
        return f"no {loaded.tokenizer.mask_token} in the text"
    limit = loaded.model.config.max_position_embeddings
    return f"{len(ids)} tokens, the model reads {limit}" if len(ids) > limit else None


def _fill(loaded: Loaded, ids: list[int], place: int, token: int, probability: float) -> Filling:
    filled = [*ids[:place], token, *ids[place + 1 :]]
    special = {loaded.tokenizer.cls_token_id, loaded.tokenizer.sep_token_id}
    text = loaded.tokenizer.decode([i for i in filled if i not in special])
    return Filling(loaded.tokenizer.decode([token]), probability, text)
