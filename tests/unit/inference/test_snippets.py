"""An exported directory works as tutorials of transformers show it, with nothing of ours.

The snippets run in a fresh process for each architecture, in which `bertops` cannot be imported.
"""

import json
import subprocess
import sys

import pytest

RUN_ALL = """
import json, sys, traceback
sys.modules["bertops"] = None
folder, encoder, snippets = sys.argv[1:]
failed = {}
for name, code in json.loads(snippets).items():
    try:
        exec(code, {"folder": folder, "encoder": encoder})
    except BaseException:
        failed[name] = traceback.format_exc()
print(json.dumps(failed))
"""

SNIPPETS = {
    "classify": """
from transformers import AutoTokenizer, {prefix}ForSequenceClassification
tokenizer = AutoTokenizer.from_pretrained(folder)
model = {prefix}ForSequenceClassification.from_pretrained(folder)
inputs = tokenizer("the film was good", return_tensors="pt")
logits = model(**inputs).logits
assert logits.shape == (1, 2)
assert model.config.id2label[logits.argmax().item()] in ("negative", "positive")
""",
    "fill_mask": """
from transformers import AutoTokenizer, {prefix}ForMaskedLM
tokenizer = AutoTokenizer.from_pretrained(encoder)
model = {prefix}ForMaskedLM.from_pretrained(encoder)
inputs = tokenizer("The capital of France is [MASK].", return_tensors="pt")
logits = model(**inputs).logits
place = (inputs.input_ids == tokenizer.mask_token_id)[0].nonzero().item()
assert isinstance(tokenizer.decode([logits[0, place].argmax().item()]), str)
""",
    "hidden_states": """
import torch
from transformers import AutoTokenizer, {prefix}Model

class Head(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.bert = {prefix}Model.from_pretrained(encoder)
        self.linear = torch.nn.Linear(self.bert.config.hidden_size, 3)

    def forward(self, **inputs):
        return self.linear(self.bert(**inputs).last_hidden_state[:, 0])

tokenizer = AutoTokenizer.from_pretrained(encoder)
inputs = tokenizer(["the film was good", "bad"], padding=True, return_tensors="pt")
assert Head()(**inputs).shape == (2, 3)
""",
    "tokenizer": """
from transformers import AutoTokenizer, BertTokenizer
texts = ["The film was good.", "电影 很 好"]
ours, plain = AutoTokenizer.from_pretrained(folder), BertTokenizer.from_pretrained(folder)
assert ours(texts)["input_ids"] == plain(texts)["input_ids"]
words = ours.decode(ours(texts[0])["input_ids"], skip_special_tokens=True)
assert words.replace(" .", ".") == "the film was good."
""",
    "pipeline": """
from transformers import pipeline
classify = pipeline("text-classification", model=folder)
(found,) = classify("the film was good")
assert found["label"] in ("negative", "positive")
""",
}


@pytest.fixture(scope="session")
def failures(classifier, tmp_path_factory):
    """What failed, by snippet."""
    prefix = "ModernBert" if "modernbert" in str(classifier) else "Bert"
    codes = {name: code.replace("{prefix}", prefix) for name, code in SNIPPETS.items()}
    arguments = [str(classifier), str(classifier.parent / "encoder"), json.dumps(codes)]
    done = subprocess.run(
        [sys.executable, "-c", RUN_ALL, *arguments],
        cwd=tmp_path_factory.mktemp("elsewhere"),
        capture_output=True,
        text=True,
        timeout=280,
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", SNIPPETS)
def test_a_tutorial_snippet_runs_without_bertops(name, failures):
    assert name not in failures, failures[name]
