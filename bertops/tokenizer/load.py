"""Open a tokenizer and say what its ids mean."""

from dataclasses import dataclass, field
from pathlib import Path

from tokenizers import Tokenizer

from bertops.errors import BertopsError
from bertops.storage import hash_file

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
SENTENCE_ENDINGS = tuple(".!?…。！？．｡؟۔।॥։።၊။")
"""Latin and Chinese, then Arabic, Urdu, Hindi, Armenian, Amharic and Burmese."""


class TokenizerUnusable(BertopsError):
    """A tokenizer directory that masked-LM training cannot work with."""

    def __init__(self, directory: Path, why: str) -> None:
        self.directory = directory
        super().__init__(
            f"{directory}: {why}. Expected a tokenizer.json with the tokens "
            f"{', '.join(SPECIAL_TOKENS)}; run the `tokenizer` stage again."
        )


@dataclass(frozen=True)
class Vocab:
    """The ids that training needs to know."""

    pieces: dict[str, int] = field(repr=False)
    """Every token and its id."""
    pad: int
    unk: int
    cls: int
    sep: int
    mask: int
    endings: tuple[int, ...]
    """Ids of the tokens that end a sentence, `SENTENCE_ENDINGS`."""
    sha256: str
    """Of tokenizer.json: two tokenizers with the same hash give the same ids."""

    @property
    def size(self) -> int:
        """Number of tokens."""
        return len(self.pieces)

    @property
    def special(self) -> tuple[int, ...]:
        """Ids that are never masked and never put in place of a token, ascending."""
        return tuple(sorted((self.pad, self.unk, self.cls, self.sep, self.mask)))


def load_tokenizer(directory: Path) -> Tokenizer:
    """The tokenizer of a Hugging Face directory, as a `tokenizers.Tokenizer`.

    It neither cuts nor pads, whatever its file says: encoders of sentences are often published
    with a fixed length in theirs.

    Raises:
        TokenizerUnusable: there is no readable tokenizer.json.
    """
    path = directory / "tokenizer.json"
    if not path.is_file():
        raise TokenizerUnusable(directory, "no tokenizer.json")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the Rust side raises plain Exception for any unreadable file
        raise TokenizerUnusable(directory, f"tokenizer.json is not readable ({error})") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def load_vocab(directory: Path) -> Vocab:
    """Size and special ids of the tokenizer in `directory`.

    Raises:
        TokenizerUnusable: it cannot be read or lacks a special token.
    """
    tokenizer = load_tokenizer(directory)
    vocab = tokenizer.get_vocab()
    missing = [name for name in SPECIAL_TOKENS if name not in vocab]
    if missing:
        raise TokenizerUnusable(directory, f"lacks {', '.join(missing)}")
    pad, unk, cls, sep, mask = (vocab[name] for name in SPECIAL_TOKENS)
    return Vocab(
        pieces=vocab,
        pad=pad,
        unk=unk,
        cls=cls,
        sep=sep,
        mask=mask,
        endings=tuple(sorted(vocab[mark] for mark in SENTENCE_ENDINGS if mark in vocab)),
        sha256=hash_file(directory / "tokenizer.json"),
    )
