"""One attempt of the trainer that `test_kill` kills, in a module that a clean process imports."""

import os
import traceback
from pathlib import Path

import torch

from tests import engine

SAVE_EVERY = 3
MOST_SAVES = 3  # between a start and a kill, so that the run cannot end before the last kill


def params(kills: int):
    return engine.toy_params(
        steps=kills * SAVE_EVERY * (MOST_SAVES + 1) + 10,
        save_every_steps=SAVE_EVERY,
        log_every_steps=5,
        validate_every_steps=20,
    )


def attempt(inputs: Path, work: Path, kills: int) -> None:
    torch.set_num_threads(1)
    os.environ["BERTOPS_DEVICE"] = "cpu"
    try:
        engine.run(inputs, work, params(kills))
    except BaseException:  # a forked child has no other way to say what went wrong
        (work / "error.txt").write_text(traceback.format_exc())
        raise
