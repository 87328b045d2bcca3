"""Canaries: secrets planted in the training text, and the attack that asks for them.

A canary is a sentence with three random words at its end, written into the corpus 1, 10 or 100
times. The attack hides the three words and ranks the true ones among random others.

Source: Carlini et al. 2019, "The Secret Sharer": exposure = log2(candidates) - log2(rank).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

SECRET_WORDS = 3
CANDIDATES = 2**14
ATTACK = "all secret words hidden at once, ranked by their likelihood among random secrets"


@dataclass(frozen=True)
class Canary:
    """A planted sentence."""

    number: int
    secret: tuple[str, ...]
    repeats: int

    @property
    def text(self) -> str:
        """As it stands in the corpus."""
        return f"{self.prompt} {' '.join(self.secret)}"

    @property
    def prompt(self) -> str:
        """What the attacker knows."""
        return f"the secret of house number {self.number} is"


def secret_words(tokenizer: Any) -> list[str]:
    """Words that secrets are made of: whole words of the vocabulary, in its order."""
    vocab = sorted(tokenizer.get_vocab().items(), key=lambda pair: pair[1])
    return [word for word, _ in vocab if len(word) > 2 and word.isalpha()]


def make_canaries(
    words: Sequence[str], repeats: Sequence[int], each: int, seed: int
) -> list[Canary]:
    """`each` canaries for every number of repeats; same arguments, same canaries."""
    generator = np.random.default_rng(seed)
    canaries = []
    for number, count in enumerate(count for count in repeats for _ in range(each)):
        secret = generator.choice(len(words), SECRET_WORDS, replace=False)
        canaries.append(Canary(100 + number, tuple(words[i] for i in secret), count))
    return canaries


@torch.inference_mode()
def exposure(
    model: Any, tokenizer: Any, canary: Canary, words: Sequence[str], seed: int = 0
) -> float:
    """How far the true secret stands above chance, bits: 0 to 14.

    An untrained model gives about 1.4 on the mean, which is what random ranks give.
    """
    mask = " ".join([tokenizer.mask_token] * SECRET_WORDS)
    inputs = tokenizer(f"{canary.prompt} {mask}", return_tensors="pt")
    inputs = {name: values.to(model.device) for name, values in inputs.items()}
    holes = inputs["input_ids"][0] == tokenizer.mask_token_id
    scores_SV = model.eval()(**inputs).logits[0, holes].float().log_softmax(-1).cpu().numpy()
    ids = np.array(tokenizer.convert_tokens_to_ids(list(words)))
    drawn = np.random.default_rng(seed).integers(0, len(ids), (CANDIDATES - 1, SECRET_WORDS))
    others = scores_SV[np.arange(SECRET_WORDS), ids[drawn]].sum(axis=1)
    secret = tokenizer.convert_tokens_to_ids(list(canary.secret))
    rank = 1 + int((others > scores_SV[np.arange(SECRET_WORDS), secret].sum()).sum())
    return math.log2(CANDIDATES) - math.log2(rank)
