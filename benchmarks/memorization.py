"""Does pretraining remember what it saw once, ten times, a hundred times?

Secrets are planted in the project's own corpus, an encoder is pretrained on it with the project's
own parameters, and the secrets are asked for (bertops/evaluation/canaries.py names the attack).
The positive control is trained on nothing but secrets: when the attack does not find those, it
finds nothing anywhere, and a low exposure would mean nothing.
"""

import tempfile
from pathlib import Path
from statistics import mean
from typing import Any

import polars as pl

from benchmarks.report import Bar, finish, parser
from bertops.evaluation.canaries import ATTACK, Canary, exposure, make_canaries, secret_words
from bertops.inference.load import load
from bertops.params import load as load_params
from bertops.paths import Paths
from bertops.pretraining.tokenize import tokenize_corpus
from bertops.tracker import NullTracker
from bertops.training.pretrain import pretrain

REPEATS = (1, 10, 100)
FOUND_BITS = 10.0  # of 14: the true secret is among the first 16 of 16,384


def main() -> None:
    """Measure, print, keep."""
    options = parser(__doc__)
    options.add_argument("--project", type=Path, default=Path(), help="A project that has run.")
    options.add_argument("--documents", type=int, default=4000, help="Documents to plant among.")
    options.add_argument("--steps", type=int, default=600, help="Steps of each training.")
    options.add_argument("--each", type=int, default=8, help="Canaries for each repeat count.")
    chosen = options.parse_args()
    paths = Paths(chosen.project.resolve())
    words = secret_words(load(paths.encoder, masked_lm=True).tokenizer)
    canaries = make_canaries(words, (0, *REPEATS), chosen.each, seed=0)
    corpus = pl.scan_parquet(paths.corpus / "train/part-*.parquet").select("text")
    real = corpus.head(chosen.documents).collect()["text"].to_list()
    found = _train_and_ask(paths, real, canaries, words, chosen.steps)
    often = [Canary(c.number, c.secret, 100) for c in canaries]
    control = _train_and_ask(paths, [], often, words, chosen.steps)
    finish(
        "memorization",
        {f"exposure, planted {count} times (bits)": found[count] for count in (0, *REPEATS)},
        {"positive control: exposure (bits)": Bar(control[100], at_least=FOUND_BITS)},
        chosen.json,
        attack=ATTACK,
        documents=len(real),
        steps=chosen.steps,
    )


def _train_and_ask(
    paths: Paths, texts: list[str], canaries: list[Canary], words: list[str], steps: int
) -> dict[int, float]:
    """Mean exposure by the number of repeats, after training on the texts and the canaries."""
    planted = texts + [c.text for c in canaries for _ in range(c.repeats)]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _write(root / "corpus/train", pl.Series(planted).shuffle(seed=0).to_list())
        _write(root / "corpus/validation", texts[:50] or planted[:50])
        params = load_params(paths.root / "params.yaml")
        tokenize_corpus(
            root / "corpus", paths.tokenizer, root / "tokens", params.pretraining.tokenize
        )
        _pretrain(root, paths.tokenizer, params, steps)
        loaded = load(root / "encoder", masked_lm=True)
        asked = [(c.repeats, exposure(loaded.model, loaded.tokenizer, c, words)) for c in canaries]
    return {count: mean(e for n, e in asked if n == count) for count in {n for n, _ in asked}}


def _write(folder: Path, texts: list[str]) -> None:
    folder.mkdir(parents=True)
    pl.DataFrame({"text": texts}).write_parquet(folder / "part-00000.parquet")


def _pretrain(root: Path, tokenizer: Path, params: Any, steps: int) -> None:
    """The project's own recipe, with a budget of its own."""
    budget = params.training.budget.model_copy(
        update={"steps": steps, "tokens": None, "minutes": None}
    )
    training = params.pretrain.training.model_copy(update={"budget": budget})
    pretrain(
        root / "tokens",
        tokenizer,
        root / "encoder",
        root / "checkpoints",
        params.pretrain.model_copy(update={"training": training}),
        NullTracker(),
    )


if __name__ == "__main__":
    main()
