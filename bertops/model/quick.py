"""A stock model that computes by `encode`, for code that calls the model, as HF Trainer does."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers.modeling_outputs import BaseModelOutputWithPoolingAndCrossAttentions

from bertops.model.attention import Backend, Casts, Packed, fits_in_a_block
from bertops.model.encoder import encode

# B rows, L tokens of a row
CLASSES = ("BertModel", "ModernBertModel")
FIRST_ALONE = ("BertForSequenceClassification", "ModernBertForSequenceClassification")
LENGTHS = 32
"""Rows that local attention cuts into blocks are filled up to a multiple."""

# What `encode` does not compute; a call that asks for any of it gets the stock forward.
STOCK_ONLY = ("inputs_embeds", "position_ids", "output_hidden_states", "output_attentions")

USERS = "_quick_users"
"""Attribute of an encoder: the blocks that it is in, of all threads."""

_GUARD = threading.Lock()


class _User(NamedTuple):
    """A block, and what holds within it."""

    first_alone: bool
    """What stands on the encoder reads the first token alone. One user that reads all is enough for
    all to be computed."""
    casts: Casts | None
    """Weights that were cast; None where they may change."""


@contextlib.contextmanager
def quick_forward(
    model: Any, backend: Backend = "blocked", *, frozen: bool = False
) -> Iterator[None]:
    """Within the block the encoder of `model` computes by `encode`, with the same results.

    A classifier that reads the first token alone gets its last hidden state and no other.

    Args:
        frozen: no weight changes within the block, so each is cast once.

    What it brings is measured by `python -m benchmarks.finetuning`. Nothing changes on a GPU, for
    encoders that are neither BERT nor ModernBERT, with adapters, decoders or gradient
    checkpointing, and for single calls that ask for more than the last hidden state.
    """
    model = getattr(model, "transformers_model", model)  # within one of sentence-transformers
    body = getattr(model, "base_model", None)
    if body is None or not _fits(body):
        yield
        return
    with _GUARD:  # a server answers from several threads, with one model
        if USERS not in vars(body):
            vars(body)[USERS] = []
            body.forward = _quick(body, body.forward, backend)
        user = _User(reads_first_alone(model), Casts() if frozen else None)
        vars(body)[USERS].append(user)
    try:
        yield
    finally:
        with _GUARD:
            vars(body)[USERS].remove(user)
            if not vars(body)[USERS]:
                del vars(body)[USERS], body.forward


def reads_first_alone(model: Any) -> bool:
    """Whether what stands on the encoder reads the last hidden state of [CLS] and no other."""
    name, pooling = type(model).__name__, getattr(model.config, "classifier_pooling", "cls")
    return name in FIRST_ALONE and pooling == "cls"


def _quick(body: Any, stock: Callable[..., Any], backend: Backend) -> Callable[..., Any]:
    """The forward that computes by `encode` what it can, and hands the rest to `stock`."""
    users: list[_User] = vars(body)[USERS]

    def forward(
        input_ids: Any = None, attention_mask: Any = None, token_type_ids: Any = None, **more: Any
    ) -> Any:
        asks = any(more.get(name) is not None and more[name] is not False for name in STOCK_ONLY)
        plain = input_ids is not None and (attention_mask is None or attention_mask.ndim == 2)
        if asks or not plain or more.get("return_dict") is False:
            given = {"attention_mask": attention_mask, "token_type_ids": token_type_ids}
            given = {name: value for name, value in given.items() if value is not None}
            return stock(input_ids, **given, **more)
        now = tuple(users)
        first_alone = all(user.first_alone for user in now)
        casts = None if torch.is_grad_enabled() else now[-1].casts
        return _forward(
            body, input_ids, attention_mask, token_type_ids, backend, first_alone, casts
        )

    return forward


def _fits(body: Any) -> bool:
    config = getattr(body, "config", None)
    own = all(type(m).__module__.startswith(("torch.", "transformers.")) for m in body.modules())
    return (
        type(body).__name__ in CLASSES
        and body.device.type == "cpu"
        and ("forward" not in vars(body) or USERS in vars(body))  # nobody else replaced it
        and own  # an adapter's layer computes more than its weight says
        and not getattr(config, "is_decoder", False)
        and not _checkpoints_activations(body)
    )


def _checkpoints_activations(body: Any) -> bool:
    """Whether layers are computed again in the backward pass; transformers renames the flag."""
    names = ("is_activation_checkpointing", "is_gradient_checkpointing")
    return bool(next((getattr(body, name) for name in names if hasattr(type(body), name)), False))


def _fill(config: Any, length: int) -> int:
    """Tokens that go after a row, so that good blocks divide it; none where it stays whole."""
    local = "sliding_attention" in getattr(config, "layer_types", ())
    whole = not local or fits_in_a_block(length, config.local_attention // 2)
    return 0 if whole else -length % LENGTHS


def _forward(
    body: Any,
    ids_BL: Tensor,
    mask_BL: Tensor | None,
    types_BL: Tensor | None,
    backend: Backend,
    first_alone: bool,
    casts: Casts | None,
) -> BaseModelOutputWithPoolingAndCrossAttentions:
    length = ids_BL.shape[1]
    mask_BL = torch.ones_like(ids_BL) if mask_BL is None else mask_BL.long()
    if backend == "blocked":
        fill = (0, _fill(body.config, length))
        ids_BL, mask_BL = pad(ids_BL, fill), pad(mask_BL, fill)
        types_BL = None if types_BL is None else pad(types_BL, fill)
    positions_BL = torch.arange(ids_BL.shape[1]).clamp(max=length - 1).expand_as(ids_BL)
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else body.dtype
    with torch.autocast("cpu", enabled=False):
        packed = Packed(mask_BL, positions_BL, None, backend, dtype, casts)
        hidden_BLD = encode(body, ids_BL, packed, types_BL, first_alone)[:, :length]
    pooler = getattr(body, "pooler", None)
    pooled_BD = pooler(hidden_BLD) if pooler is not None else None
    return BaseModelOutputWithPoolingAndCrossAttentions(
        last_hidden_state=hidden_BLD, pooler_output=pooled_BD
    )
