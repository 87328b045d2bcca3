"""bertops: pretrain, fine-tune, evaluate and operate BERT-class encoders."""

from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`bertops.load`, found when it is first asked for: importing bertops loads nothing."""
    if name == "load":
        from importlib import import_module

        return import_module("bertops.asking").load
    raise AttributeError(f"module 'bertops' has no attribute {name!r}")
