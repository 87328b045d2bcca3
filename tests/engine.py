"""A toy pretraining run: tokens, tokenizer and model small enough for seconds."""

import os
import signal
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bertops.pretraining.tokenize import StoreWriter
from bertops.tokenizer.load import SPECIAL_TOKENS, load_vocab
from bertops.tokenizer.params import TokenizerParams
from bertops.tokenizer.train import save_tokenizer
from bertops.tracker import MemoryTracker
from bertops.training.params import PretrainParams
from bertops.training.pretrain import PretrainReport, pretrain

ROW_LENGTH = 32


WORDS = (
    *("the", "a", "film", "movie", "plot", "acting", "was", "is", "very", "and", "not", "it"),
    *(
        "good",
        "great",
        "fine",
        "bad",
        "awful",
        "poor",
        "liked",
        "hated",
        ".",
        ",",
        "好",
        "电",
        "影",
    ),
)


def write_tokenizer(folder: Path) -> None:
    """A WordPiece tokenizer of a hundred pieces: WORDS, letters and letters that continue."""
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    pieces = [*SPECIAL_TOKENS, *WORDS, *letters, *(f"##{c}" for c in letters)]
    vocab = {piece: id for id, piece in enumerate(dict.fromkeys(pieces))}
    save_tokenizer(vocab, folder, TokenizerParams(max_length=ROW_LENGTH))


def write_inputs(folder: Path, documents: int = 60) -> None:
    """A tokenizer and token stores of random documents of 3 to 60 tokens."""
    write_tokenizer(folder / "tokenizer")
    vocab = load_vocab(folder / "tokenizer")
    random = np.random.default_rng(0)
    for split, count in (("train", documents), ("validation", 8)):
        writer = StoreWriter(folder / "tokens" / split, "uint16", 2**20)
        for length in random.integers(3, 60, size=count):
            writer.add(random.integers(5, vocab.size, size=length).tolist())
        writer.close(vocab.size, vocab.sha256)


def toy_params(steps: int = 10, dropout: float = 0.1, **training: object) -> PretrainParams:
    """A BERT of 2 layers of 32, 4 rows a step, a log and a validation now and then."""
    return PretrainParams.model_validate(
        {
            "pretraining": {"packing": {"row_length": ROW_LENGTH}, "masking": {"rate": 0.2}},
            "model": {
                "architecture": "bert",
                **{"layers": 2, "hidden": 32, "heads": 2, "intermediate": 64},
                **{"max_positions": ROW_LENGTH, "dropout": dropout},
            },
            "training": {
                "budget": {"steps": steps},
                "batch_rows": 4,
                "log_every_steps": 3,
                "validate_every_steps": 7,
                "validation_rows": 4,
                "save_every_steps": 4,
                **training,
            },
        }
    )


@dataclass
class StoppingTracker(MemoryTracker):
    """Sends SIGTERM to its own process so that it stops after the given step.

    The loop looks for signals before it logs, so the step before must be logged."""

    stop_at: int = 0
    sent: list[int] = field(default_factory=list)

    def log_metrics(self, values, step):
        super().log_metrics(values, step)
        if step == self.stop_at - 1:
            os.kill(os.getpid(), signal.SIGTERM)


def run(inputs: Path, work: Path, params: PretrainParams, tracker=None) -> PretrainReport:
    """Pretrain in `work`: encoder/, checkpoints/, curve.csv."""
    return pretrain(
        inputs / "tokens",
        inputs / "tokenizer",
        work / "encoder",
        work / "checkpoints",
        params,
        tracker or MemoryTracker(),
        curve=work / "curve.csv",
    )


def outcome(work: Path) -> dict[str, bytes]:
    """Everything that a run leaves that must not depend on how it came about."""
    newest = sorted(work.glob("checkpoints/*/step-*"))[-1]
    return {
        "weights": (work / "encoder/model.safetensors").read_bytes(),
        "curve": (work / "curve.csv").read_bytes(),
        "checkpoint weights": (newest / "model.safetensors").read_bytes(),
        "optimizer": (newest / "optimizer.safetensors").read_bytes(),
    }
