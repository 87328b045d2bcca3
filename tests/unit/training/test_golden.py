"""Ten losses of the toy run, kept in a file: a change of the numerics shows in the diff.

To accept a change on purpose: BERTOPS_UPDATE_GOLDEN=1 pytest tests/unit/training/test_golden.py
"""

import json
import os

import pytest

from tests import engine


@pytest.mark.parametrize("architecture", ["bert", "modernbert"])
def test_ten_toy_losses_are_the_golden_ones(architecture, inputs, tmp_path, repository):
    golden = repository / "tests/data/golden-losses.json"
    params = engine.toy_params(10, log_every_steps=1, precision="fp32")
    model = params.model.model_copy(update={"architecture": architecture, "local_attention": 8})
    tracker = engine.MemoryTracker()
    engine.run(inputs, tmp_path, params.model_copy(update={"model": model}), tracker)
    losses = [round(values["loss"], 6) for _, values in tracker.metrics]
    known = json.loads(golden.read_text()) if golden.exists() else {}
    if os.environ.get("BERTOPS_UPDATE_GOLDEN") == "1":
        golden.write_text(json.dumps(known | {architecture: losses}, indent=2) + "\n")
    # Other processors sum in another order; 1e-4 is far below what a changed rule does.
    assert losses == pytest.approx(json.loads(golden.read_text())[architecture], abs=1e-4)
