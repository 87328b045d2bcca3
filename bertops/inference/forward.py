"""Token ids to outputs, in batches of similar length."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from bertops import runtime

# B batch, L row length
BATCH_TOKENS = 8192  # padded, on an accelerator
BATCH_VALUES = 2**18
"""On a CPU: tokens of a batch times the width of the model, so that the states of a layer stay in
the cache (docs/experiments.md)."""


def batch_tokens(model: Any) -> int:
    """Padded tokens of a batch that suit the model and where it is."""
    if model.device.type != "cpu":
        return BATCH_TOKENS
    return max(1, BATCH_VALUES // model.config.hidden_size)


def batches_by_length(lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Indices in batches of similar length, longest first, so that memory peaks at the start.

    A batch has at most `batch_tokens` tokens when padded to its longest row, and at least one row.
    Same lengths, same batches.
    """
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if not batches or (len(batches[-1]) + 1) * lengths[batches[-1][0]] > batch_tokens:
            batches.append([])
        batches[-1].append(index)
    return batches


def pad(inputs: Sequence[dict[str, list[int]]], pad_id: int) -> dict[str, Any]:
    """Tensors [B, L], int64, padded on the right, with their attention mask."""
    import torch

    length = max(len(row["input_ids"]) for row in inputs)
    tensors = {}
    for name in inputs[0]:
        filler = pad_id if name == "input_ids" else 0
        rows = [row[name] + [filler] * (length - len(row[name])) for row in inputs]
        tensors[name] = torch.tensor(rows)
    ones = [[1] * len(row["input_ids"]) for row in inputs]
    mask = [row + [0] * (length - len(row)) for row in ones]
    return tensors | {"attention_mask": torch.tensor(mask)}


def autocast(device: Any, precision: str = "auto") -> contextlib.AbstractContextManager[Any]:
    """bf16 where the hardware multiplies it, or as asked; else nothing."""
    import torch

    wanted = runtime.has_fast_bf16(device) if precision == "auto" else precision == "bf16"
    return torch.autocast(device.type, torch.bfloat16) if wanted else contextlib.nullcontext()


def forward(
    model: Any,
    inputs: Sequence[dict[str, list[int]]],
    pad_id: int,
    read: Callable[[Any, Sequence[int]], Sequence[Any]],
    precision: str = "auto",
) -> list[Any]:
    """What `read` takes from the outputs of every input, in the order of `inputs`.

    Args:
        read: (outputs of a batch, lengths of its rows) → one value for each row.
    """
    values: list[Any] = [None] * len(inputs)
    for batch, outputs in _run(model, inputs, pad_id, precision):
        lengths = [len(inputs[i]["input_ids"]) for i in batch]
        for index, value in zip(batch, read(outputs, lengths), strict=True):
            values[index] = value
    return values


def _run(
    model: Any, inputs: Sequence[dict[str, list[int]]], pad_id: int, precision: str
) -> Iterator[tuple[list[int], Any]]:
    import torch

    from bertops.model.quick import quick_forward

    device = model.device
    was_training = model.training
    model.eval()
    with quick_forward(model, frozen=True):
        lengths = [len(row["input_ids"]) for row in inputs]
        for batch in batches_by_length(lengths, batch_tokens(model)):
            padded = pad([inputs[i] for i in batch], pad_id)
            with torch.inference_mode(), autocast(device, precision):
                yield batch, model(**{name: value.to(device) for name, value in padded.items()})
    model.train(was_training)
