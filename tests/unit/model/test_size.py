"""What a token costs."""

from bertops.model.build import build_config, build_model
from bertops.model.params import ModelParams
from bertops.model.size import count_parameters, flops_per_token
from bertops.tokenizer.load import Vocab


def vocab(size):
    ids = {str(i): i for i in range(size)}
    return Vocab(ids, pad=0, unk=1, cls=2, sep=3, mask=4, endings=(), sha256="")


def test_bert_base_costs_609_megaflops_a_token():
    # By hand, BERT-base of 30,528 tokens, rows of 512, mask 30 %: 6 x (12 x (4 x 768^2 + 2 x 768 x
    # 3,072 + 2 x 512 x 768) + 0.3 x (768^2 + 768 x 30,528)) = 609.5 M.
    config = build_config(ModelParams(architecture="bert", preset="base"), vocab(30_522))
    assert config.vocab_size == 30_528
    assert round(flops_per_token(config, 512, 0.3) / 1e6) == 609


def test_local_layers_are_counted_over_their_window():
    sizes = {"layers": 2, "hidden": 64, "heads": 2, "intermediate": 96, "local_attention": 16}
    near = build_config(ModelParams(attention_pattern="L", **sizes), vocab(128))
    mixed = build_config(ModelParams(attention_pattern="LG", **sizes), vocab(128))
    difference = flops_per_token(mixed, 128, 0.3) - flops_per_token(near, 128, 0.3)
    assert round(difference) == 6 * 2 * (128 - 17) * 64


def test_presets_have_the_published_number_of_parameters():
    # Turc et al. 2019, table 1: tiny 4.4 M, mini 11.3 M, without pooler and with a head here.
    found = {
        name: count_parameters(
            build_model(ModelParams(architecture="bert", preset=name), vocab(30_522), seed=0)
        )
        for name in ("tiny", "mini")
    }
    assert round(found["tiny"] / 1e6, 1) == 4.4
    assert round(found["mini"] / 1e6, 1) == 11.2
