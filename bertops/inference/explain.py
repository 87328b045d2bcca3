"""Why a classifier said so: what each token gave to the decision, and where tokens looked.

Attributions are integrated gradients (Sundararajan et al. 2017) over the token embeddings, from a
baseline of padding between the same special tokens, by captum. They are complete: their sum is the
difference of the logit between text and baseline, up to `Explanation.gap`.
"""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bertops.errors import UsageError
from bertops.extras import require
from bertops.inference.load import Loaded
from bertops.inference.predict import probabilities
from bertops.inference.readers import complete, reader_of
from bertops.storage import write_text

# L tokens, H heads
STEPS = 64


@dataclass(frozen=True)
class Explanation:
    """One prediction and what made it."""

    text: str
    label: str
    probability: float
    tokens: tuple[str, ...]
    attributions: tuple[float, ...]
    """Share of each token in the label's logit."""
    difference: float
    """Logit of the text minus logit of the baseline: what the attributions add up to."""
    attention: np.ndarray
    """Where tokens of the last layer look, mean over heads, float [L, L]; rows sum to 1."""

    @property
    def gap(self) -> float:
        """What the attributions miss of the difference."""
        return self.difference - sum(self.attributions)


def explain(
    loaded: Loaded, texts: Sequence[str], second: Sequence[str] | None = None, steps: int = STEPS
) -> list[Explanation]:
    """An explanation for each text, or pair. Of a text read in windows, the first window.

    Raises:
        UsageError: the model is no classifier of transformers.
    """
    card = loaded.task_card()
    if card.kind != "classification" or not hasattr(loaded.model, "get_input_embeddings"):
        raise UsageError(f"{loaded.reference}: only classifiers in safetensors can be explained")
    model = _with_attention(loaded)
    pairs = zip(texts, second or texts, strict=True)
    examples = complete(loaded, [{"text": a, "text_b": b} for a, b in pairs])
    features = reader_of(loaded).tokenize(examples)
    first = {feature.row: feature for feature in reversed(features)}
    return [_explain(loaded, model, texts[i], first[i].inputs(), steps) for i in range(len(texts))]


def _with_attention(loaded: Loaded) -> Any:
    """The model in fp32 with attention that shows its weights."""
    fresh = type(loaded.model).from_pretrained(loaded.directory, attn_implementation="eager")
    return fresh.eval()


def _explain(
    loaded: Loaded, model: Any, text: str, inputs: dict[str, list[int]], steps: int
) -> Explanation:
    require("tasks", "captum", reason="attributions need it")
    import torch
    from captum.attr import LayerIntegratedGradients

    card, tokenizer = loaded.task_card(), loaded.tokenizer
    tensors = {name: torch.tensor([ids]) for name, ids in inputs.items()}
    ids, rest = tensors.pop("input_ids"), tensors
    rest["attention_mask"] = torch.ones_like(ids)

    def logit(given: Any, chosen: int) -> Any:
        many = {name: value.expand(len(given), -1) for name, value in rest.items()}
        return model(input_ids=given, **many).logits[:, chosen]

    with torch.no_grad():
        outputs = model(input_ids=ids, **rest, output_attentions=True)
    shares = probabilities(outputs.logits[0].double().numpy(), card.multi_label)
    chosen = int(shares.argmax())
    frame = (tokenizer.cls_token_id, tokenizer.sep_token_id)  # an [UNK] is part of the text
    special = torch.tensor([[i in frame for i in ids[0].tolist()]])
    baseline = torch.where(special, ids, tokenizer.pad_token_id)
    gradients = LayerIntegratedGradients(lambda given: logit(given, chosen), _embeddings(model))
    found = gradients.attribute(ids, baselines=baseline, n_steps=steps, internal_batch_size=16)
    with torch.no_grad():
        difference = float(logit(ids, chosen) - logit(baseline, chosen))
    return Explanation(
        text=text,
        label=card.labels[chosen],
        probability=float(shares[chosen]),
        tokens=tuple(tokenizer.convert_ids_to_tokens(ids[0].tolist())),
        attributions=tuple(found.sum(dim=-1)[0].tolist()),
        difference=difference,
        attention=outputs.attentions[-1][0].mean(dim=0).numpy(),
    )


def _embeddings(model: Any) -> Any:
    return model.get_input_embeddings()


def explain_page(
    loaded: Loaded, texts: Sequence[str], second: Sequence[str] | None, target: Path
) -> list[Explanation]:
    """Write the explanations as one HTML page that needs nothing else."""
    found = explain(loaded, texts, second)
    body = "\n".join(map(_section, found))
    write_text(target, _PAGE.format(title=html.escape(loaded.task_card().task), body=body))
    return found


def _section(one: Explanation) -> str:
    largest = max(map(abs, one.attributions)) or 1.0
    words = " ".join(
        f'<span style="background:{_color(a / largest)}" title="{a:+.4f}">{html.escape(t)}</span>'
        for t, a in zip(one.tokens, one.attributions, strict=True)
    )
    return (
        f"<section><h2>{html.escape(one.label)} <small>{one.probability:.3f}</small></h2>"
        f"<p class=words>{words}</p>"
        f"<p class=note>Together {sum(one.attributions):+.3f} of the {one.difference:+.3f} by "
        f"which the text moves the logit.</p>{_attention_table(one)}</section>"
    )


def _color(share: float) -> str:
    """Green for what speaks for the label, red for what speaks against it."""
    red, green, blue = (46, 160, 67) if share >= 0 else (207, 34, 46)
    return f"rgba({red},{green},{blue},{abs(share):.2f})"


def _attention_table(one: Explanation) -> str:
    head = "".join(f"<th><i>{html.escape(token)}</i></th>" for token in one.tokens)
    rows = "".join(
        f"<tr><th>{html.escape(token)}</th>"
        + "".join(
            f'<td style="background:rgba(9,105,218,{share:.2f})" title="{share:.3f}"></td>'
            for share in shares
        )
        + "</tr>"
        for token, shares in zip(one.tokens, one.attention / one.attention.max(), strict=True)
    )
    return (
        "<details><summary>Where tokens looked (last layer, mean of heads)</summary>"
        f"<div class=scroll><table><tr><th></th>{head}</tr>{rows}</table></div></details>"
    )


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 16px/1.6 system-ui, sans-serif; max-width: 60rem; margin: auto; padding: 1rem }}
.words span {{ padding: 0 .15em; border-radius: .2em }}
.note, small {{ opacity: .7 }}
.scroll {{ overflow-x: auto }}
table {{ border-collapse: collapse; font-size: .7rem }}
td {{ width: 1em; height: 1em; border: 1px solid #8883 }}
th i {{ writing-mode: vertical-rl; font-style: normal; font-weight: normal }}
</style></head><body><h1>{title}</h1>
<p>Green speaks for the label, red against it; point at a word for its share.</p>
{body}
</body></html>
"""
