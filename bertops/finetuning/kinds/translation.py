"""Translation: our encoder reads, a BERT decoder writes (Rothe et al. 2020, BERT2BERT)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bertops.finetuning.baselines import TfidfFeatures
from bertops.finetuning.kinds.base import (
    BadRow,
    Baseline,
    Feature,
    TaskKind,
    read_label,
    read_text,
)
from bertops.finetuning.params import FinetuningParams
from bertops.inference.reader import Encoded, Example, Prediction


class Translation(TaskKind):
    """`text` is the source, `label` its translation. One tokenizer serves both sides."""

    packages = ("sacrebleu",)

    def read(self, values: Mapping[str, Any]) -> Example:
        """Source and translation."""
        task = self.task
        label = str(read_label(values, task) or "").strip()
        if not label:
            raise BadRow("empty text", f"column {task.columns.label!r}", fatal=False)
        return {"text": read_text(values, task.columns.text, task), "label": label}

    def build(self, encoder: str, params: FinetuningParams, fresh: bool) -> Any:
        """`EncoderDecoderModel`: the encoder, and a decoder that begins as a copy of it.

        A BERT decoder starts from the encoder's weights with new cross-attention. Of other
        architectures, which have no decoder, it starts anew with the encoder's sizes.
        """
        from transformers import (
            AutoConfig,
            AutoModel,
            AutoTokenizer,
            BertConfig,
            BertLMHeadModel,
            EncoderDecoderModel,
        )

        config = AutoConfig.from_pretrained(encoder)
        reading = AutoModel.from_config(config) if fresh else AutoModel.from_pretrained(encoder)
        if config.model_type == "bert":
            writing_config = config
        else:
            names = (
                *("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads"),
                *("intermediate_size", "max_position_embeddings", "pad_token_id"),
            )
            writing_config = BertConfig(**{name: getattr(config, name) for name in names})
        writing_config.is_decoder = writing_config.add_cross_attention = True
        copied = config.model_type == "bert" and not fresh
        writing = (
            BertLMHeadModel.from_pretrained(encoder, config=writing_config)
            if copied
            else BertLMHeadModel(writing_config)
        )
        model = EncoderDecoderModel(encoder=reading, decoder=writing)
        _set_ends(model, AutoTokenizer.from_pretrained(encoder))
        return model

    def training_rows(self, encoded: Encoded, tokenizer: Any) -> list[Feature]:
        """Token ids of the translation with its end; the model shifts them by the beginning."""
        targets = [example["label"] for example in encoded.examples]
        limit = self.task.target_length + 1
        ids = tokenizer(targets, truncation=True, max_length=limit)["input_ids"]
        return [f.inputs() | {"labels": ids[f.row][1:]} for f in encoded.features]

    def baselines(
        self, train: Sequence[Example], validation: Sequence[Example]
    ) -> Mapping[str, Baseline]:
        """The source itself, and the translation of the most similar training source."""
        return {"copy": Copy(), "nearest": NearestTranslation(train)}


def _set_ends(model: Any, tokenizer: Any) -> None:
    """[CLS] begins a translation and [SEP] ends it."""
    ends = {
        "decoder_start_token_id": tokenizer.cls_token_id,
        "bos_token_id": tokenizer.cls_token_id,
        "eos_token_id": tokenizer.sep_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    for name, value in ends.items():
        setattr(model.config, name, value)
        setattr(model.generation_config, name, value)
    model.config.vocab_size = model.config.decoder.vocab_size


class Copy:
    """Gives the source back."""

    def predict(self, examples: Sequence[Example]) -> list[Prediction]:
        """The sources."""
        return [{"prediction": example["text"], "probabilities": None} for example in examples]


class NearestTranslation:
    """Gives the translation of the training source that is most alike, by TF-IDF."""

    def __init__(self, train: Sequence[Example]) -> None:
        self._labels = [example["label"] for example in train]
        self._features = TfidfFeatures([{"text": example["text"]} for example in train])
        self._sources = self._features([{"text": example["text"]} for example in train])

    def predict(self, examples: Sequence[Example]) -> list[Prediction]:
        """Translations of other sources."""
        asked = self._features([{"text": example["text"]} for example in examples])
        nearest = np.asarray((asked @ self._sources.T).argmax(axis=1)).ravel()
        found = [self._labels[i] for i in nearest]
        return [{"prediction": text, "probabilities": None} for text in found]
