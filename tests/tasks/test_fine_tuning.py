"""Learning rates by layer and new top layers: which weights they reach, and which they leave alone."""

import lightning as L
import pytest
import torch
from tiny import QUIET, buy, connect
from transformers import (
    AlbertConfig,
    AutoModel,
    BartConfig,
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    GPT2Config,
    LlamaConfig,
    ModernBertConfig,
    RobertaConfig,
    T5Config,
)

from lit_react.core.errors import UserError
from lit_react.data.datamodule import PoolDataModule
from lit_react.tasks import RelationExtraction, TextClassification, TokenClassification
from lit_react.tasks.fine_tuning import FineTuning, layers_of
from lit_react.tasks.lora import LoRA

pytestmark = pytest.mark.usefixtures("one_thread")
NAMES = ["business", "entertainment", "politics", "sport"]


def ready(pretrained: str, fine_tuning: FineTuning | None, task=TextClassification, seed: int = 0, **options):
    """A module with weights, which are those of `seed` where they are new."""
    optimizer = lambda p: torch.optim.AdamW(p, lr=8.0, weight_decay=0.01, fused=True)  # noqa: E731
    settings = {"label_names": NAMES, "max_length": 16, "optimizer": optimizer, "lr_scheduler": "plateau"}
    module = task(pretrained, fine_tuning=fine_tuning, **settings | options)
    torch.manual_seed(seed)
    module.configure_model()
    return module


def of_optimizer(module, option: str) -> dict[str, float]:
    """An option of the optimiser's groups, by the parameters' names; each parameter is in one group."""
    groups = module.built_optimizer().param_groups
    names = {parameter: name for name, parameter in module.named_parameters()}
    pairs = [(names[parameter], group[option]) for group in groups for parameter in group["params"]]
    assert len(pairs) == len(dict(pairs)) == len(names)
    return dict(pairs)


def test_each_layer_learns_at_the_rate_of_the_one_above_times_the_decay(tiny_bert) -> None:
    rates = of_optimizer(ready(tiny_bert, FineTuning(layer_decay=0.5)), "lr")
    by_part = {name.replace("model.bert.", "").removeprefix("encoder.")[:7]: rate for name, rate in rates.items()}
    assert by_part == {"embeddi": 2.0, "layer.0": 4.0, "layer.1": 8.0, "pooler.": 8.0, "model.c": 8.0}


@pytest.mark.parametrize("fine_tuning", [None, FineTuning(), FineTuning(layer_decay=0.5)])
def test_biases_and_norms_have_no_weight_decay_at_any_rate(tiny_bert, fine_tuning) -> None:
    module = ready(tiny_bert, fine_tuning)
    decays = of_optimizer(module, "weight_decay")
    assert decays == {name: 0.01 if p.ndim > 1 else 0.0 for name, p in module.named_parameters()}


def test_the_schedule_multiplies_the_rate_of_each_layer(tiny_bert, news_csv) -> None:
    seen = []

    class Watch(L.Callback):
        def on_train_batch_start(self, trainer, *_) -> None:
            seen.append(sorted({group["lr"] for group in trainer.optimizers[0].param_groups}))

    module = ready(tiny_bert, FineTuning(layer_decay=0.5), lr_scheduler="linear", warmup=0.0)
    data = connect(PoolDataModule(str(news_csv), validation_size=20, test_size=30, batch_size=8), module)
    for split in ("pool", "validation"):
        buy(data, split, range(20))
    L.Trainer(max_steps=4, max_epochs=-1, callbacks=[Watch()], enable_checkpointing=False, **QUIET).fit(module, data)
    assert seen == [[2.0 * left, 4.0 * left, 8.0 * left] for left in (1.0, 0.75, 0.5, 0.25)]


@pytest.mark.parametrize("task", [TextClassification, TokenClassification, RelationExtraction])
@pytest.mark.parametrize(("count", "new"), [(None, ""), (0, "pooler"), (1, "pooler layer.1"), (2, "pooler layer")])
def test_the_top_layers_and_the_pooler_are_new_and_all_else_is_the_checkpoint_s(tiny_bert, task, count, new) -> None:
    base = ready(tiny_bert, FineTuning(reinitialised_layers=count), task).model.base_model
    before = AutoModel.from_pretrained(tiny_bert).state_dict()
    for name, weight in base.state_dict().items():
        if name == "embeddings.word_embeddings.weight":
            weight = weight[: len(before[name])]  # relation extraction has added its markers
        changed = weight.ndim > 1 and any(part in name for part in new.split())
        assert torch.equal(weight, before[name]) != changed, name
        if changed:
            assert weight.std() == pytest.approx(0.1, rel=0.2), "as the config's initializer_range says"


def test_new_layers_are_a_function_of_torch_s_seed(tiny_bert) -> None:
    first, same, other = (ready(tiny_bert, FineTuning(2), seed=seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(weight, same[name]) for name, weight in first.items())
    drawn = {name for name, weight in first.items() if not torch.equal(weight, other[name])}
    assert len([name for name in drawn if "encoder.layer" in name]) == 2 * 6


@pytest.mark.parametrize("task", [TextClassification, RelationExtraction])
def test_what_a_run_has_fitted_is_not_drawn_again(tiny_bert, tmp_path, task) -> None:
    fitted = ready(tiny_bert, FineTuning(2), task)
    fitted.export(tmp_path)
    again = task(tiny_bert, label_names=NAMES, fine_tuning=FineTuning(2)).fresh()
    again.restore(tmp_path)
    again.configure_model()
    saved = fitted.state_dict()
    assert all(torch.equal(weight, saved[name]) for name, weight in again.state_dict().items())


SIZES = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 50}
OWN_SIZES = {
    DistilBertConfig: {"dim": 16, "n_heads": 2, "hidden_dim": 32, "vocab_size": 50},
    GPT2Config: {"n_embd": 16, "n_head": 2, "vocab_size": 50},
    ModernBertConfig: SIZES | {"pad_token_id": 0},
}


@pytest.mark.parametrize(
    ("config", "name"),
    [
        (BertConfig, "encoder.layer"),
        (RobertaConfig, "encoder.layer"),
        (ElectraConfig, "encoder.layer"),
        (DebertaV2Config, "encoder.layer"),
        (DistilBertConfig, "transformer.layer"),
        (ModernBertConfig, "layers"),
        (GPT2Config, "h"),
        (LlamaConfig, "layers"),
    ],
)
def test_the_layers_of_any_family_are_found_and_drawn(config, name) -> None:
    torch.manual_seed(0)
    base = AutoModel.from_config(config(num_hidden_layers=3, **OWN_SIZES.get(config, SIZES)))
    found, layers = layers_of(base)
    assert (found, len(layers)) == (name, 3)
    factors = FineTuning(layer_decay=0.5).factors(base)
    assert set(factors) == set(base.parameters())
    assert [{factors[parameter] for parameter in layer.parameters()} for layer in layers] == [{0.25}, {0.5}, {1.0}]
    assert factors[base.get_input_embeddings().weight] == 0.125
    before = {n: weight.clone() for n, weight in base.state_dict().items()}
    FineTuning(reinitialised_layers=1).reinitialise(base)
    changed = {n for n, weight in base.state_dict().items() if not torch.equal(weight, before[n])}
    assert changed
    assert all(n.startswith((f"{name}.2.", "pooler.")) for n in changed)


@pytest.mark.parametrize(("config", "count"), [(T5Config, 2), (BartConfig, 2), (AlbertConfig, 0)])
def test_a_model_without_one_stack_of_layers_is_told(config, count) -> None:
    with torch.device("meta"):
        base = AutoModel.from_config(config())
    with pytest.raises(UserError, match=f"expected a model with one stack of layers, .* has {count}"):
        FineTuning(layer_decay=0.9).check(base)


def test_options_that_do_not_fit_are_told(tiny_bert) -> None:
    with pytest.raises(UserError, match=r"reinitialised_layers: -1 is too small"):
        FineTuning(reinitialised_layers=-1)
    for factor in (0.0, 1.5):
        with pytest.raises(UserError, match=rf"layer_decay: {factor} is too .*, expected more than 0, at most 1"):
            FineTuning(layer_decay=factor)
    with pytest.raises(UserError, match=r"reinitialised_layers: 3 is more than the 2 layers of BertModel"):
        TextClassification(tiny_bert, NAMES, max_length=32, fine_tuning=FineTuning(3)).check()
    with pytest.raises(UserError, match=r"model.fine_tuning: the layers are frozen under model.lora"):
        TextClassification(tiny_bert, NAMES, lora=LoRA(), fine_tuning=FineTuning())
