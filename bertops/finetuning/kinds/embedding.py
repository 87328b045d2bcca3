"""Vectors of texts: near for near meanings, or a question's near its answer's."""

from collections.abc import Mapping, Sequence
from typing import Any

from bertops import runtime
from bertops.finetuning.baselines import Mean, TfidfFeatures
from bertops.finetuning.kinds.base import (
    BadRow,
    Baseline,
    Feature,
    TaskKind,
    on_one_device,
    read_number,
    read_pair,
)
from bertops.finetuning.params import FinetuningParams
from bertops.inference.reader import Encoded, Example, Prediction
from bertops.inference.retrieve import RANKED, search


class Embedding(TaskKind):
    """Trained and saved by sentence-transformers (Reimers and Gurevych 2019).

    With a label, the cosine of a pair learns that number (scaled to at most 1). Without one, each
    text learns to be nearest to its own second text among those of the batch.
    """

    packages = ("sentence_transformers",)

    def read(self, values: Mapping[str, Any]) -> Example:
        """The pair, and `label`: its number, or the second text."""
        example = read_pair(values, self.task)
        if "text_b" not in example:
            raise BadRow("missing column", "embedding wants columns.text_b")
        if not self.task.columns.label:
            return example | {"label": example["text_b"]}
        return example | {"label": read_number(values, self.task)}

    def build(self, encoder: str, params: FinetuningParams, fresh: bool) -> Any:
        """A `SentenceTransformer` that takes the mean of the states."""
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
        from transformers import AutoModel

        body = Transformer(encoder, max_seq_length=self.task.max_length)
        if fresh:
            body.model = AutoModel.from_config(body.config)
        pooling = Pooling(body.get_embedding_dimension(), "mean")
        return SentenceTransformer(modules=[body, pooling], device=str(runtime.device()))

    def training_rows(self, encoded: Encoded, tokenizer: Any) -> list[Feature]:
        """Texts; numbers are scaled by the largest."""
        examples = encoded.examples
        if not self.task.columns.label:
            return [{"anchor": e["text"], "positive": e["text_b"]} for e in examples]
        largest = max(abs(e["label"]) for e in examples) or 1.0
        return [
            {"first": e["text"], "second": e["text_b"], "label": e["label"] / largest}
            for e in examples
        ]

    def make_trainer(
        self,
        model: Any,
        rows: Sequence[Feature],
        arguments: dict[str, Any],
        pad_id: int,
        loss: Any,
    ) -> Any:
        """The trainer of sentence-transformers: cosine loss, or the other texts of a batch as
        negatives (Henderson et al. 2017)."""
        from datasets import Dataset
        from sentence_transformers import (
            SentenceTransformerTrainer,
            SentenceTransformerTrainingArguments,
        )
        from sentence_transformers.base.sampler import BatchSamplers
        from sentence_transformers.sentence_transformer import losses

        search_task = "anchor" in rows[0]
        make_loss = (
            losses.MultipleNegativesRankingLoss if search_task else losses.CosineSimilarityLoss
        )
        sampler = BatchSamplers.NO_DUPLICATES if search_task else BatchSamplers.BATCH_SAMPLER
        args = SentenceTransformerTrainingArguments(**arguments, batch_sampler=sampler)
        return SentenceTransformerTrainer(
            model=model,
            args=on_one_device(args),
            train_dataset=Dataset.from_list(list(rows)),
            loss=make_loss(model),
        )

    def baselines(
        self, train: Sequence[Example], validation: Sequence[Example]
    ) -> Mapping[str, Baseline]:
        """The cosine of TF-IDF vectors, for numbers and for search."""
        numbers = bool(self.task.columns.label)
        tfidf = TfidfCosine(train, numbers)
        return {"mean": Mean(train), "tfidf": tfidf} if numbers else {"tfidf": tfidf}


class TfidfCosine:
    """Compares texts by the cosine of their TF-IDF vectors."""

    def __init__(self, train: Sequence[Example], numbers: bool) -> None:
        texts = [{"text": e[key]} for e in train for key in ("text", "text_b")]
        self._features, self._numbers = TfidfFeatures(texts), numbers

    def predict(self, examples: Sequence[Example]) -> list[Prediction]:
        """Cosines, or ranked candidates."""
        first = self._features([{"text": e["text"]} for e in examples])
        if self._numbers:
            second = self._features([{"text": e["text_b"]} for e in examples])
            cosines = first.multiply(second).sum(axis=1)
            return [
                {"prediction": float(c), "probabilities": None} for c in cosines.ravel().tolist()[0]
            ]
        candidates = list(dict.fromkeys(e["text_b"] for e in examples))
        stored = self._features([{"text": text} for text in candidates])
        hits = search(first.toarray(), stored.toarray(), RANKED)
        return [
            {
                "prediction": [candidates[hit.index] for hit in row],
                "probabilities": [hit.score for hit in row],
            }
            for row in hits
        ]
