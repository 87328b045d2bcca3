"""OnnxModel: a graph of ONNX Runtime that is called as a transformers model is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bertops import runtime
from bertops.extras import require

ONNX_NAME = "model.onnx"
INT8_NAME = "model.int8.onnx"


class OnnxModel:
    """Runs on the CPU, on all its cores. Nothing in it can be trained.

    Args:
        path: the graph; config.json of the model lies beside it.
    """

    training = False

    def __init__(self, path: Path) -> None:
        require("tasks", "onnxruntime", reason="ONNX models need it")
        import onnxruntime
        import torch

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = runtime.threads()
        self._session = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )
        self._names = {argument.name for argument in self._session.get_inputs()}
        self.device = torch.device("cpu")
        self.config = SimpleNamespace(**json.loads((path.parent / "config.json").read_text()))

    def __call__(self, **inputs: Any) -> SimpleNamespace:
        """The logits of a batch, as transformers names them."""
        import torch

        given = {name: value.numpy() for name, value in inputs.items() if name in self._names}
        (logits,) = self._session.run(None, given)
        return SimpleNamespace(logits=torch.from_numpy(logits))

    def eval(self) -> OnnxModel:
        """Itself: it is never in training."""
        return self

    def train(self, mode: bool = True) -> OnnxModel:
        """Itself: it is never in training."""
        return self

    def to(self, device: Any) -> OnnxModel:
        """Itself: it stays on the CPU."""
        return self

    def named_parameters(self) -> Iterator[tuple[str, Any]]:
        """None of them can be seen."""
        return iter(())

    named_buffers = named_parameters
