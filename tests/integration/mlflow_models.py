"""Tiny models and a fresh store for the tests of the registry."""

from pathlib import Path

from bertops.inference.card import TaskCard

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
