"""Learn a WordPiece vocabulary; same corpus and parameters, same bytes."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers.trainers import WordPieceTrainer

from bertops.errors import BertopsError
from bertops.progress import progress
from bertops.storage import hash_tree, write_whole
from bertops.tokenizer.load import SPECIAL_TOKENS, load_tokenizer, load_vocab
from bertops.tokenizer.measure import Fit, measure_fit
from bertops.tokenizer.params import TokenizerParams
from bertops.tokenizer.texts import count_texts, read_texts

MEASURED_DOCUMENTS = 1000


@dataclass(frozen=True)
class TokenizerReport:
    """What was learned, from how much, and how well it fits the corpus it came from."""

    documents: int
    characters: int
    vocab_size: int
    alphabet: int
    """Distinct characters that the vocabulary spells; the others become [UNK]."""
    fit: Fit
    """Measured on the first 1,000 documents of the corpus."""
    sha256: str
    """Of the tokenizer directory."""

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return asdict(self)


class CorpusTooSmall(BertopsError):
    """The corpus cannot fill the vocabulary that was asked for."""

    def __init__(self, corpus: Path, wanted: int, found: int) -> None:
        self.corpus, self.wanted, self.found = corpus, wanted, found
        super().__init__(
            f"{corpus} is too small for the vocabulary: tokenizer.vocab_size asks for {wanted:,} "
            f"entries, the text yields {found:,}. Set vocab_size to at most {found // 64 * 64:,} "
            "(a multiple of 64), lower tokenizer.min_frequency, or add text."
        )


def train_tokenizer(
    corpus: Path, target: Path, params: TokenizerParams, origin: str | None = None
) -> TokenizerReport:
    """Learn a vocabulary from the documents of `corpus` and save it to `target`.

    Args:
        corpus: a directory of part-*.parquet with a column `text`.
        target: directory to write, in Hugging Face form (tokenizer.json, tokenizer_config.json).
        origin: where `params.init_from` was found, when it names no directory or hub id itself.

    Raises:
        NoDocuments: the corpus holds no text.
        CorpusTooSmall: it yields fewer entries than `params.vocab_size`.
        TokenizerUnusable: `params.init_from` lacks a token that training needs.

    Source: Devlin et al. 2019, "BERT", section 3 (WordPiece); Schuster & Nakajima 2012.
    """
    origin = origin or params.init_from
    if origin is not None:
        return _adopt_tokenizer(corpus, target, origin)
    documents, length, characters = _count_characters(corpus, params)
    room = params.vocab_size - len(SPECIAL_TOKENS)
    alphabet = choose_alphabet(characters, params.character_coverage, room)
    texts = progress(
        read_texts(corpus), what="learning the vocabulary", total=documents, unit="doc"
    )
    vocab = learn_vocab(texts, alphabet, params)
    if len(vocab) < params.vocab_size:
        raise CorpusTooSmall(corpus, params.vocab_size, len(vocab))
    with write_whole(target) as partial:
        tokenizer = save_tokenizer(vocab, partial, params)
    return TokenizerReport(
        documents=documents,
        characters=length,
        vocab_size=len(vocab),
        alphabet=len(alphabet),
        fit=measure_fit(tokenizer, read_texts(corpus), limit=MEASURED_DOCUMENTS),
        sha256=hash_tree(target),
    )


def _adopt_tokenizer(corpus: Path, target: Path, origin: str) -> TokenizerReport:
    """Copy the tokenizer of `origin` to `target`, and measure how it fits the corpus."""
    from transformers import AutoTokenizer

    with write_whole(target) as partial:
        AutoTokenizer.from_pretrained(origin, trust_remote_code=False).save_pretrained(partial)
    tokenizer = load_tokenizer(target)
    vocab = load_vocab(target)
    return TokenizerReport(
        documents=count_texts(corpus),
        characters=sum(len(text) for text in read_texts(corpus)),
        vocab_size=vocab.size,
        alphabet=sum(len(piece.removeprefix("##")) == 1 for piece in tokenizer.get_vocab()),
        fit=measure_fit(tokenizer, read_texts(corpus), limit=MEASURED_DOCUMENTS),
        sha256=hash_tree(target),
    )


def _count_characters(corpus: Path, params: TokenizerParams) -> tuple[int, int, Counter[str]]:
    """Documents, characters of the text, and how often each stands in it once normalized."""
    normalize = _normalizer(params).normalize_str
    characters: Counter[str] = Counter()
    documents = length = 0
    for text in progress(read_texts(corpus), what="counting characters", unit="doc"):
        characters.update(normalize(text))
        documents += 1
        length += len(text)
    return documents, length, characters


def choose_alphabet(characters: Counter[str], coverage: float, room: int) -> list[str]:
    """The most frequent characters that make up `coverage` of the text, in code-point order.

    Fewer where their entries ("a", and "##a" if it can stand inside a word) would exceed `room`.
    Ties are broken by code point, so the choice depends on the counts alone.
    """
    ranked = sorted(
        ((char, n) for char, n in characters.items() if not char.isspace()),
        key=lambda item: (-item[1], item[0]),
    )
    enough = coverage * sum(n for _, n in ranked)
    kept, covered = [], 0
    for char, n in ranked:
        room -= 1 + _can_continue(char)
        if covered >= enough or room < 0:
            break
        kept.append(char)
        covered += n
    return sorted(kept)


def learn_vocab(
    texts: Iterable[str], alphabet: list[str], params: TokenizerParams
) -> dict[str, int]:
    """Merge frequent pairs of pieces until the vocabulary is full: piece → id.

    The trainer breaks ties between pairs by the ids of their pieces, and it hands out the ids of
    continuing pieces ("##a") in the order of a hash map, which changes from run to run. Naming
    them beforehand as special tokens fixes the ids; only the vocabulary is taken from the trained
    tokenizer, so they are special nowhere else.
    """
    continuing = [f"##{char}" for char in alphabet if _can_continue(char)]
    trainer = WordPieceTrainer(
        vocab_size=params.vocab_size,
        min_frequency=params.min_frequency,
        special_tokens=[*SPECIAL_TOKENS, *continuing],
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        show_progress=False,
    )
    tokenizer = _wordpiece({}, params)
    tokenizer.train_from_iterator(texts, trainer)
    return dict(sorted(tokenizer.get_vocab().items(), key=lambda item: item[1]))


def _can_continue(char: str) -> bool:
    """Whether a character can stand inside a word; punctuation and Chinese characters cannot."""
    spaced = normalizers.BertNormalizer(lowercase=False).normalize_str(f"a{char}")
    return len(pre_tokenizers.BertPreTokenizer().pre_tokenize_str(spaced)) == 1


def _normalizer(params: TokenizerParams) -> normalizers.Normalizer:
    return normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=True, lowercase=params.lowercase
    )


def _wordpiece(vocab: dict[str, int], params: TokenizerParams) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))  # type: ignore[call-arg]
    tokenizer.normalizer = _normalizer(params)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def save_tokenizer(vocab: dict[str, int], target: Path, params: TokenizerParams) -> Tokenizer:
    """Write a WordPiece tokenizer of this vocabulary in Hugging Face form; returns it."""
    from transformers import BertTokenizer

    tokenizer = _wordpiece(vocab, params)
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    cls, sep = (
        ("[CLS]", tokenizer.token_to_id("[CLS]")),
        ("[SEP]", tokenizer.token_to_id("[SEP]")),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[cls, sep]
    )
    BertTokenizer(
        tokenizer_object=tokenizer,
        do_lower_case=params.lowercase,
        model_max_length=params.max_length,
        clean_up_tokenization_spaces=False,
    ).save_pretrained(target)
    return tokenizer
