"""Tiny models and a fresh store for the tests of the registry."""

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

import pytest

from bertops.inference.card import TaskCard
from bertops.tracking.store import Store, open_store

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "movie", "film"]


def tiny_model(directory: Path, *, seed: int = 0, task: bool = True) -> Path:
    """A two-layer model with eight words, in Hugging Face form."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import (
        ModernBertConfig,
        ModernBertForMaskedLM,
        ModernBertForSequenceClassification,
        PreTrainedTokenizerFast,
    )

    vocabulary = {word: i for i, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"unk": "[UNK]", "pad": "[PAD]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
    special = {f"{name}_token": token for name, token in names.items()}
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=64, **special
    ).save_pretrained(directory)
    torch.manual_seed(seed)
    config = ModernBertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        num_labels=2,
        pad_token_id=0,
        cls_token_id=2,
        sep_token_id=3,
        bos_token_id=2,
        eos_token_id=3,
        max_position_embeddings=64,
        classifier_pooling="mean",
    )
    kind = ModernBertForSequenceClassification if task else ModernBertForMaskedLM
    kind(config).save_pretrained(directory)
    if task:
        TaskCard(
            task="sentiment",
            kind="classification",
            labels=("negative", "positive"),
            max_length=64,
            long_texts="head",
            metric="accuracy",
        ).write(directory)
    return directory


@functools.cache
def _empty_store() -> Path:
    """A store with its tables, made once for each test process: that takes seconds."""
    folder = Path(tempfile.mkdtemp(prefix="bertops-store-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        open_store(folder / "mlflow.db")
    return folder


def fresh_store(file: Path) -> Store:
    """An empty SQLite store of its own at `file`."""
    file.parent.mkdir(parents=True, exist_ok=True)
    for made in _empty_store().iterdir():
        shutil.copyfile(made, file.with_name(made.name.replace("mlflow", file.stem)))
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        return open_store(file)
