"""Tiny encoders with a tokenizer, made in a second."""

from collections.abc import Iterable
from pathlib import Path

WORDS = (
    *("the", "a", "film", "movie", "plot", "acting", "was", "is", "very", "and", "not", "i", "it"),
    *("good", "great", "fine", "bad", "awful", "poor", "liked", "hated"),
)
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def make_tokenizer(words: Iterable[str] = ()):
    """WordPiece over WORDS and `words`, single letters, digits and Chinese characters."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import BertTokenizer

    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    chinese = map(chr, range(0x4E00, 0xA000))
    tails = (f"##{c}" for c in letters)
    pieces = dict.fromkeys([*SPECIAL, *WORDS, *words, *letters, *tails, *".,!?-'\"()", *chinese])
    vocab = {piece: index for index, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return BertTokenizer(tokenizer_object=tokenizer, model_max_length=64)


def save_encoder(folder: Path, architecture: str = "bert", words: Iterable[str] = ()) -> Path:
    """A masked-LM of two layers with fresh weights from seed 0, saved with its tokenizer."""
    import torch
    from transformers import BertConfig, BertForMaskedLM, ModernBertConfig, ModernBertForMaskedLM

    torch.manual_seed(0)
    tokenizer = make_tokenizer(words)
    sizes = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 64,
        "pad_token_id": 0,
    }
    if architecture == "bert":
        model = BertForMaskedLM(BertConfig(**sizes))
    else:
        ends = {"cls_token_id": 2, "bos_token_id": 2, "sep_token_id": 3, "eos_token_id": 3}
        config = ModernBertConfig(**sizes, **ends, classifier_pooling="mean", local_attention=8)
        model = ModernBertForMaskedLM(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
