"""LoRA: small matrices learn in place of the encoder's weights (Hu et al. 2021)."""

from typing import Any

from bertops.errors import UsageError
from bertops.extras import require
from bertops.finetuning.params import LoraParams


def with_lora(model: Any, params: LoraParams) -> Any:
    """The model with adapters on every linear layer of its encoder; the head learns in full.

    Raises:
        UsageError: the model is not an encoder with a head.
    """
    require("tasks", "peft", reason="finetuning.lora needs it")
    import torch
    from peft import LoraConfig, get_peft_model

    body = getattr(model, "base_model_prefix", "")
    if not hasattr(model, body or "-"):
        raise UsageError(f"LoRA fits an encoder with a head, not {type(model).__name__}")
    inside = getattr(model, body).named_modules()
    layers = {name.split(".")[-1] for name, part in inside if isinstance(part, torch.nn.Linear)}
    heads = [
        name
        for name, part in model.named_children()
        if name != body and any(True for _ in part.parameters())
    ]
    config = LoraConfig(
        r=params.rank,
        lora_alpha=params.alpha,
        lora_dropout=params.dropout,
        target_modules=rf".*{body}\..*\.({'|'.join(sorted(layers))})",
        modules_to_save=heads,
    )
    return get_peft_model(model, config)


def merged(model: Any) -> Any:
    """The model with what the adapters learned added to its weights: as if trained in full."""
    return model.merge_and_unload() if hasattr(model, "merge_and_unload") else model
