import torch
from transformers import AutoModelForSequenceClassification

from bertops.document import SplitParams
from bertops.finetuning.data import prepare_task
from bertops.finetuning.lora import merged, with_lora
from bertops.finetuning.params import LoraParams
from bertops.finetuning.run import finetune_task
from bertops.inference.load import load
from tests.unit.encoders import save_encoder


def test_only_adapters_and_the_head_learn(encoder):
    model = with_lora(AutoModelForSequenceClassification.from_pretrained(encoder), LoraParams())
    learning = {name for name, value in model.named_parameters() if value.requires_grad}
    assert learning
    assert all("lora_" in name or "modules_to_save" in name for name in learning)


def test_the_merged_model_gives_what_the_adapters_gave(tmp_path):
    for architecture in ("bert", "modernbert"):
        encoder = save_encoder(tmp_path / architecture, architecture)
        torch.manual_seed(0)
        model = with_lora(AutoModelForSequenceClassification.from_pretrained(encoder), LoraParams())
        for name, value in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(value, std=0.1)
        ids = torch.arange(5, 15)[None]
        model.eval()
        with torch.no_grad():
            before = model(input_ids=ids).logits
            after = merged(model)(input_ids=ids).logits
        torch.testing.assert_close(before, after, atol=1e-5, rtol=1e-4)  # order of sums differs


def test_a_task_trained_with_lora_is_saved_as_a_plain_model(task, project, encoder, quick):
    prepare_task(task, SplitParams(), project / "data", project)
    params = quick.model_copy(update={"lora": LoraParams(), "seeds": (1,), "control": False})
    folders = (project / "m", project / "p", project / "w")
    report = finetune_task(task, project / "data", encoder, *folders, params)
    assert report.failed == 0
    assert not list((project / "m").glob("adapter*"))
    assert load(project / "m")(["good film"])
