"""Knobs of the corpus: where text comes from and what a document has to be like to stay."""

import re
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from bertops.parallel import ParallelParams
from bertops.section import Section

Scalar = str | int | float | bool


class FetchItem(Section):
    """What is brought to `data/fetched/<name>`: a package's file, or a dataset of a hub.

    From there it is a source or a task like any other, and DVC watches it.
    """

    name: str = Field(
        pattern=r"^[\w.-]+$", description="File name under data/fetched; of a dataset, *.parquet."
    )
    package: str | None = Field(
        None, description="Import name of the installed package, read but not imported."
    )
    file: str | None = Field(None, description="Path of the file inside the package.")
    hub: str | None = Field(
        None, description="Hugging Face dataset as `name` or `name:config`, or a folder of one."
    )
    hub_split: str = Field("train", description="Split of that dataset.")
    revision: str | None = Field(
        None, description="Commit of that dataset on the hub; the newest when left out."
    )

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.package is None) == (self.hub is None):
            raise ValueError("give either `package` and `file`, or `hub`")
        if (self.package is None) != (self.file is None):
            raise ValueError("`package` and `file` belong together")
        if self.hub is not None and not self.name.endswith(".parquet"):
            raise ValueError(f"a dataset is written as Parquet: name it {self.name}.parquet")
        return self


class SourceParams(Section):
    """One source of documents: files on disk or a Hugging Face dataset."""

    name: str = Field(pattern=r"^[\w-]+$", description="Name; a folder of data/raw carries it.")
    path: str | None = Field(
        None, description="File, folder or fsspec address of one, relative to the project."
    )
    files: str | None = Field(
        None,
        description="Glob of the files to read below the folder `path`, `**/*.jsonl` for one; "
        "default: all readable ones.",
    )
    hub: str | None = Field(
        None, description="Hugging Face dataset as `name` or `name:config`, or a folder of one."
    )
    hub_split: str = Field("train", description="Split of the Hugging Face dataset.")
    text_column: str = Field("text", description="Column or JSON key that holds the text.")
    id_column: str | None = Field(None, description="Column of the user's own id, if any.")
    meta_columns: tuple[str, ...] = Field((), description="Columns kept as they are, e.g. a label.")
    where: dict[str, Scalar | list[Scalar]] = Field(
        default_factory=dict, description="Keep rows whose column equals the value, or one of them."
    )
    unit: Literal["file", "line", "paragraph"] = Field(
        "file", description="What one document is in plain text; paragraphs end at a blank line."
    )
    languages: tuple[str, ...] | None = Field(
        None, description="Languages to keep from this source (ISO 639-1); default: those of all."
    )
    max_documents: int | None = Field(
        None, gt=0, description="Read at most this many documents, the first ones."
    )
    weight: float = Field(
        1.0, gt=0, le=1, description="Share of the documents to sample, by a hash of their id."
    )
    max_document_bytes: int = Field(
        32_000_000, gt=0, description="A longer line, field, page or plain file is quarantined."
    )
    max_file_bytes: int = Field(
        1 << 40, gt=0, description="Unpacked bytes of a file after which the rest is not read."
    )
    max_ratio: float = Field(
        200, gt=1, description="Unpacked to packed bytes beyond which a file is a bomb."
    )
    quoted: bool | None = Field(
        None, description="Whether fields may stand in quotes; default: in CSV yes, in TSV no."
    )
    licence: str = Field("", description="What the source says about its use; goes on the card.")

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.path is None) == (self.hub is None):
            raise ValueError("give either `path` or `hub`")
        return self

    @model_validator(mode="after")
    def _files_lie_below(self) -> Self:
        if self.files is None:
            return self
        if self.path is None:
            raise ValueError("`files` chooses among those of the folder `path`, which is not given")
        if self.files.startswith("/") or ".." in self.files.split("/"):
            raise ValueError(f"`files: {self.files}` must stay below the folder `path`")
        return self

    @property
    def pattern(self) -> str | None:
        """`path`, with the glob of `files` behind it where there is one."""
        return f"{self.path}/{self.files}" if self.files else self.path


class NormalizeParams(Section):
    """Repairs that change the form of a text and not what it says."""

    enabled: bool = Field(True, description="Switch the whole step.")
    replace: dict[str, str] = Field(
        {},
        description="Dirt of your own: regular expressions (Rust's syntax: no look-around) and "
        "what stands in their place (`$1` is the first group), applied in order.",
    )
    fix_encoding: bool = Field(True, description="Undo mojibake with ftfy where it is suspected.")
    unwrap: bool = Field(
        True, description="Join the lines of paragraphs that were wrapped at a fixed width."
    )
    markup: bool = Field(True, description="Turn `<br />`, other tags and entities into text.")
    urls: Literal["keep", "strip"] = Field("strip", description="What happens to web addresses.")
    chinese: Literal["keep", "simplified"] = Field(
        "keep", description="Convert traditional Chinese to simplified (extra `chinese`: OpenCC)."
    )
    full_width: bool = Field(True, description="Full-width letters and digits become ASCII.")

    @field_validator("replace")
    @classmethod
    def _patterns_compile(cls, replace: dict[str, str]) -> dict[str, str]:
        import polars as pl

        for pattern in replace:
            try:
                pl.Series([""]).str.contains(pattern)
            except pl.exceptions.ComputeError as error:
                found = re.search(r"^error: (.+)$", str(error), re.MULTILINE)
                reason = found[1] if found else str(error)
                raise ValueError(f"{pattern!r} is no regular expression: {reason}") from error
        return replace


class LanguageParams(Section):
    """Which languages stay."""

    enabled: bool = Field(True, description="Switch the whole step.")
    keep: tuple[str, ...] = Field(("en",), description="ISO 639-1 codes to keep; empty: all.")
    min_score: float = Field(0.5, ge=0, le=1, description="Least probability of that language.")
    head_characters: int = Field(600, gt=0, description="Characters that the guess is made on.")


class GopherQualityParams(Section):
    """Gopher quality rules. Source: Rae et al. 2021, "Scaling Language Models", appendix A.1."""

    enabled: bool = Field(True, description="Switch this group of rules.")
    min_words: int = Field(50, ge=0, description="Words that are no punctuation, at least.")
    max_words: int = Field(100_000, gt=0, description="Words that are no punctuation, at most.")
    min_mean_word_length: float = Field(3, ge=0, description="Characters a word, at least.")
    max_mean_word_length: float = Field(10, gt=0, description="Characters a word, at most.")
    max_hash_ratio: float = Field(0.1, ge=0, description="Number signs per word, at most.")
    max_ellipsis_ratio: float = Field(0.1, ge=0, description="Ellipses per word, at most.")
    max_bullet_lines: float = Field(0.9, ge=0, le=1, description="Share of bulleted lines.")
    max_ellipsis_lines: float = Field(0.3, ge=0, le=1, description="Share of lines ending in ….")
    # 0.8 in the paper, of words split at spaces. Marks are words here, as in datatrove, and prose
    # with much dialogue has 20 % of them.
    min_alphabetic_words: float = Field(0.7, ge=0, le=1, description="Words with a letter, share.")
    min_stop_words: int = Field(2, ge=0, description="Different stop words, at least (of eight).")


class GopherRepetitionParams(Section):
    """Gopher repetition rules. Source: Rae et al. 2021, table A1."""

    enabled: bool = Field(True, description="Switch this group of rules.")
    max_duplicate_lines: float = Field(0.3, description="Share of lines seen before.")
    max_duplicate_paragraphs: float = Field(0.3, description="Share of paragraphs seen before.")
    max_duplicate_line_characters: float = Field(0.2, description="Their share of characters.")
    max_duplicate_paragraph_characters: float = Field(0.2, description="Their share of characters.")
    max_top_ngram: dict[int, float] = Field(
        {2: 0.20, 3: 0.18, 4: 0.16},
        description="For each n, share of characters in the most frequent n-gram.",
    )
    max_duplicate_ngrams: dict[int, float] = Field(
        {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10},
        description="For each n, share of characters in n-grams seen before.",
    )


class C4Params(Section):
    """C4 rules. Source: Raffel et al. 2020, "Exploring the Limits of Transfer Learning", 2.2."""

    enabled: bool = Field(True, description="Switch this group of rules.")
    drop_lines: bool = Field(
        False, description="Write only the lines that pass; else lines are judged, not removed."
    )
    require_end_punctuation: bool = Field(True, description="Lines must end in . ? ! or a quote.")
    min_sentences: int = Field(5, ge=0, description="Sentences in the lines that pass, at least.")
    min_words_per_line: int = Field(3, ge=0, description="Words in a line, at least.")
    max_word_length: int = Field(1000, gt=0, description="Characters of the longest word.")
    curly_bracket: bool = Field(True, description="A document with a { is code, and dropped.")
    lorem_ipsum: bool = Field(True, description="A document with placeholder Latin is dropped.")


class FineWebParams(Section):
    """FineWeb's own rules. Source: Penedo et al. 2024, "The FineWeb Datasets", section 3.6."""

    enabled: bool = Field(True, description="Switch this group of rules.")
    min_line_punctuation: float = Field(0.12, description="Lines with end punctuation, share.")
    max_short_lines: float = Field(0.67, description="Share of lines up to `short_line`.")
    short_line: int = Field(30, description="Characters up to which a line is short.")
    max_duplicate_line_characters: float = Field(0.01, description="Characters in lines repeated.")
    max_newline_ratio: float = Field(0.3, description="Line ends per word.")


class ChineseParams(Section):
    """Rules for Chinese text, which has no spaces between words."""

    enabled: bool = Field(True, description="Switch this group of rules.")
    min_characters: int = Field(50, ge=0, description="Chinese characters, at least.")
    min_chinese_share: float = Field(0.7, description="Of Chinese characters and other words.")
    min_paragraph_characters: float = Field(10, description="Mean length of a paragraph.")
    min_end_punctuation: float = Field(0.12, description="Share of paragraphs that end in 。！？….")
    max_duplicate_ngrams: float = Field(0.3, description="Share of 10-character runs seen before.")


class RuleParams(Section):
    """Rules that judge the quality of a document; each failed one is recorded."""

    gopher_quality: GopherQualityParams = Field(GopherQualityParams(), description="Gopher.")
    gopher_repetition: GopherRepetitionParams = Field(
        GopherRepetitionParams(), description="Gopher, repetition."
    )
    c4: C4Params = Field(C4Params(), description="C4.")
    fineweb: FineWebParams = Field(FineWebParams(), description="FineWeb.")
    chinese: ChineseParams = Field(ChineseParams(), description="Chinese.")


PiiKind = Literal["email", "phone", "ip", "card", "iban", "national_id", "key"]


class PresidioParams(Section):
    """A second search for personal data, by Microsoft Presidio (extra `presidio`)."""

    entities: tuple[str, ...] = Field(
        (), description="What to find, as Presidio names it: PERSON, UK_NHS …; empty: it is off."
    )
    models: dict[str, str | None] = Field(
        default_factory=dict,
        description="Language → installed spaCy model that finds names; null: none is meant to.",
    )
    min_score: float = Field(
        # What Presidio gives at least to a pattern that stands beside a word that speaks for it.
        0.4,
        ge=0,
        le=1,
        description="Replace what it is this sure of; 1: right check digits.",
    )


class PiiParams(Section):
    """Personal data, replaced by placeholders like `<EMAIL>` and counted."""

    enabled: bool = Field(True, description="Switch the whole step.")
    kinds: tuple[PiiKind, ...] = Field(
        ("email", "phone", "ip", "card", "iban", "national_id", "key"), description="What to find."
    )
    presidio: PresidioParams = Field(PresidioParams(), description="What Presidio finds beyond.")


class DedupParams(Section):
    """Exact and near duplicates, and lines that many documents share."""

    exact: bool = Field(True, description="Drop documents whose normalised text was seen.")
    near: bool = Field(True, description="Drop documents that are almost a copy of another.")
    ngram: int = Field(5, gt=0, description="Words in a shingle.")
    bands: int = Field(14, gt=0, description="Bands of the MinHash signature.")
    rows: int = Field(8, gt=0, description="Values in a band.")
    min_jaccard: float = Field(0.7, gt=0, le=1, description="Shared shingles of a near copy.")
    seed: int = Field(1, description="Seed of the hash functions.")
    boilerplate_documents: int = Field(
        20, ge=0, description="Lines in this many documents of a source are removed; 0: none."
    )
    boilerplate_share: float = Field(
        0.01, ge=0, le=1, description="... when this is also at least this share of the source."
    )
    boilerplate_min_words: int = Field(
        5, ge=1, description="Shorter lines are never boilerplate: headings repeat, too."
    )
    boilerplate_max_stripped: float = Field(
        0.8, ge=0, le=1, description="A document that would lose more of it stays whole: a copy."
    )


class DecontaminateParams(Section):
    """What may not be in the corpus, because models are measured on it."""

    enabled: bool = Field(True, description="Switch the whole step.")
    ngram: int = Field(13, gt=0, description="Words in a row that make an overlap.")
    min_words: int = Field(
        8, gt=0, description="A text of fewer words than `ngram` is looked for by all its words, "
        "from this number on.",
    )  # fmt: skip
    min_matches: int = Field(1, gt=0, description="Overlaps from which a document is dropped.")
    max_documents: int = Field(
        10, gt=0, description="An overlap found in more documents than this is a phrase, no leak."
    )
    near_copies: bool = Field(True, description="Also drop near copies, as `dedup` defines them.")


class CorpusParams(Section):
    """Raw text → documents worth training on."""

    sources: tuple[SourceParams, ...] = Field(min_length=1, description="Where text comes from.")
    normalize: NormalizeParams = Field(NormalizeParams(), description="Form of the text.")
    language: LanguageParams = Field(LanguageParams(), description="Languages to keep.")
    rules: RuleParams = Field(RuleParams(), description="Quality of a document.")
    pii: PiiParams = Field(PiiParams(), description="Personal data.")
    dedup: DedupParams = Field(DedupParams(), description="Duplicates.")
    decontaminate: DecontaminateParams = Field(
        DecontaminateParams(), description="Evaluation texts in the corpus."
    )
    shard_documents: int = Field(
        100_000, gt=0, description="Most documents in a part of the cleaned corpus."
    )
    shard_bytes: int = Field(
        128_000_000, gt=0, description="Bytes of text after which a part of it is full."
    )
    parallel: ParallelParams = Field(
        ParallelParams(), description="Where the work is done; changes no result."
    )

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [source.name for source in self.sources]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two sources are named {twice[0]!r}; names must differ")
        return self
