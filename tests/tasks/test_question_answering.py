import json
import shutil

import lightning as L
import numpy as np
import pytest
import torch
from task_cases.question_answering import options
from tiny import QUIET, documented_code

from lit_react.annotation.costs import TokenCost
from lit_react.core.errors import UserError
from lit_react.data.datamodule import PoolDataModule
from lit_react.data.encoding import text_digest
from lit_react.tasks import QuestionAnswering
from lit_react.tasks.answer_metrics import squad_scores

SIZES = {"max_length": 52, "max_question_length": 8, "stride": 12, "max_answer_length": 4}
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lives")
    words = options(folder)
    return dict(zip(words[::2], words[1::2], strict=True))


@pytest.fixture
def make(case):
    def make(pretrained=case["--model.pretrained"], **changed):
        adamw = lambda parameters: torch.optim.AdamW(parameters, lr=5e-3)  # noqa: E731
        return QuestionAnswering(pretrained, optimizer=adamw, **SIZES | changed)

    return make


@pytest.fixture
def data(case, make):
    data = PoolDataModule(case["--data.source"], test_size=24, validation_size=16, batch_size=8, eval_batch_size=8)
    data.connect(make().task)
    known = data.fixed.known_labels()
    data.reveal("pool", {row: known["pool"][row] for row in range(40)})
    data.reveal("validation", dict(enumerate(known["validation"])))
    return data


@pytest.fixture
def batch(data):
    return data.pool.table.batch([3, 5, 40, 70, 71], data.fixed.splits.pool.select([3, 5, 40, 70, 71])["label"][:])


def ready(module, seed=0):
    torch.manual_seed(seed)
    module.configure_model()
    return module.eval()


def fit(module, data, epochs=1, **changed):
    trainer = L.Trainer(max_epochs=epochs, **QUIET | {"enable_checkpointing": False} | changed)
    trainer.fit(module, datamodule=data)
    return trainer


# ---- rows, labels, answers of people


def test_the_case_has_contexts_of_one_window_and_of_two(data):
    batch = data.pool.table.batch(range(len(data.pool)))
    assert set((batch["windows"] >= 0).sum(1).tolist()) == {1, 2}


ROW = {"text": "who?", "context": "the cat saw the other cat ."}


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("cat", {"start": 4, "text": "cat"}),
        (" other cat\n", {"start": 16, "text": "other cat"}),
        ({"text": "cat"}, {"start": 4, "text": "cat"}),
        ({"text": "cat", "start": 22}, {"start": 22, "text": "cat"}),
        ({"text": "cat", "start": 20}, {"start": 22, "text": "cat"}),
    ],
)
def test_people_answer_with_words_of_the_context(make, answer, label):
    assert make().task.parse(answer, ROW) == label
    assert make().task.describe(ROW, label) == ("who?", label["text"])
    assert make().task.question(ROW) == {"text": "who?", "context": ROW["context"]}


@pytest.mark.parametrize("answer", ["dog", "Cat", {"text": "dog", "start": 4}])
def test_an_answer_that_is_not_in_the_context_is_refused(make, answer):
    with pytest.raises(ValueError, match=r"is not in the context: expected words as they stand there"):
        make().task.parse(answer, ROW)


@pytest.mark.parametrize("answer", [3, None, [], " ", {}, {"text": 3}, {"text": "cat", "start": "4"}, {"text": ""}])
def test_what_is_no_answer_is_refused(make, answer):
    with pytest.raises(ValueError, match="is no answer: expected a text of the context, or"):
        make().task.parse(answer, ROW)


def test_a_label_costs_the_tokens_of_its_context(data, make):
    assert isinstance(make().task.default_cost, TokenCost)
    contexts = data.fixed.splits.pool["context"][:]
    tokens = make().task.tokenizer(contexts, add_special_tokens=False)["input_ids"]
    assert data.pool.costs.tolist() == [len(ids) for ids in tokens]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"stride": -1}, "model.stride: -1 is too small, expected 0 or more"),
        ({"max_answer_length": 0}, "model.max_answer_length: 0 is too small"),
        ({"max_question_length": 0}, "model.max_question_length: 0 is too small"),
        ({"max_length": 28}, r"model.max_length: 28 tokens leave no room .* stride \+ 8 = 28"),
    ],
)
def test_options_out_of_range_are_refused(make, changed, message):
    with pytest.raises(UserError, match=message):
        make(**changed)


# ---- loss, metrics, predictions


def test_the_loss_is_the_mean_over_both_ends_and_over_windows(make, data, batch):
    module = ready(make())
    windows = [window for row in [3, 5, 40, 70, 71] for window in one_by_one(data, row)]
    losses = []
    for inputs, possible, first, last in windows:
        with torch.no_grad():
            logits = module.model(**inputs)
        for scores, target in ((logits.start_logits[0], first), (logits.end_logits[0], last)):
            losses.append(-scores[possible].log_softmax(0)[possible.index(target)])
    with torch.no_grad():
        assert float(module.loss(batch)) == pytest.approx(float(torch.stack(losses).mean()), rel=1e-4)
        batch["first"][batch["windows"][0, 0]] = batch["last"][batch["windows"][0, 0]] = -100
        known = torch.stack(losses[2:]).mean()
        assert float(module.loss(batch)) == pytest.approx(float(known), rel=1e-4), "an unknown place teaches nothing"


def one_by_one(data, row):
    """Each window of a row without padding: inputs, the tokens that may be targets, the targets."""
    batch = data.pool.table.batch([row], [data.fixed.splits.pool[row]["label"]])
    for window in batch["windows"][0].tolist():
        length = int(batch["attention_mask"][window].sum())
        inputs = {name: batch[name][window : window + 1, :length] for name in ("input_ids", "token_type_ids")}
        possible = [0, *np.flatnonzero(batch["start"][window] >= 0).tolist()]
        yield inputs, possible, int(batch["first"][window]), int(batch["last"][window])


def test_the_metrics_are_those_of_the_predictions(make, data):
    module = make()
    trainer = fit(module, data, epochs=4)
    (scalars,) = trainer.test(module, datamodule=data, verbose=False)
    split = data.fixed.splits.test
    output = module.eval().outputs(data.task.encode(split).batch(range(24)))
    columns = [{name: values[i].detach().numpy() for name, values in output.items()} for i in range(24)]
    predictions = [module.task.prediction(part, row) for part, row in zip(columns, split, strict=True)]
    scores = [squad_scores(p["answer"], row["label"]["answers"]) for p, row in zip(predictions, split, strict=True)]
    assert scalars["test/exact_match"] == pytest.approx(np.mean([exact for exact, _ in scores]))
    assert scalars["test/f1"] == pytest.approx(np.mean([f1 for _, f1 in scores]))
    assert set(scalars) == {"test/loss", "test/f1", "test/exact_match"}
    assert module.test_report() == {"questions": 24}
    for found, row in zip(predictions, split, strict=True):
        assert row["context"][found["start"] :].startswith(found["answer"])
        assert found["question"] == row["text"]
        assert 0 < found["score"] <= 1
    assert json.loads(json.dumps(predictions)) == predictions


def test_a_fit_learns_its_labels(make, data):
    module = make(lr_scheduler="constant_with_warmup")
    fit(module, data, epochs=40, limit_val_batches=0)
    rows = data.pool.labeled_rows
    metrics = module.task.metrics()
    with torch.no_grad():
        module.eval().evaluate(data.pool.table.batch(rows, [data.pool.labels[row] for row in rows]), metrics)
    assert metrics.compute()[0]["exact_match"] > 0.9


# ---- signals


def test_signals_are_the_spans_and_do_not_depend_on_the_other_rows(make, data, batch):
    module = ready(make())
    needs = frozenset({"head_inputs"})
    with torch.no_grad():
        together, output = module.signals(batch, needs), module.outputs(batch)
        alone = [module.signals(data.pool.table.batch([row]), needs) for row in batch["row"].tolist()]
    assert {name: (value.dtype, tuple(value.shape)) for name, value in together.items()} == {
        "probabilities": (torch.float32, (5, 2)),
        "margin": (torch.float32, (5,)),
        "entropy": (torch.float32, (5,)),
        "max_probability": (torch.float32, (5,)),
        "embeddings": (torch.float16, (5, 32)),
        "head_inputs": (torch.float16, (5, 64)),
    }
    for name, values in together.items():
        assert torch.allclose(values.float(), torch.cat([part[name] for part in alone]).float(), atol=2e-3), name
    assert torch.equal(together["max_probability"], output["score"])
    assert torch.allclose(together["probabilities"].sum(1), torch.ones(5))
    assert torch.all(together["entropy"] <= np.log(2))
    assert torch.all(together["margin"] <= together["max_probability"])
    assert torch.allclose(together["embeddings"].float().norm(dim=1), torch.ones(5), atol=2e-3)


def test_head_inputs_times_the_last_layer_are_the_scores_of_the_best_span(make, batch):
    module = ready(make())
    with torch.no_grad():
        states = module.signals(batch, frozenset({"head_inputs"}))["head_inputs"].float().chunk(2, dim=1)
        best = module._best(module.logits(batch), batch)
        logits = module.logits(batch)
    head = module.model.qa_outputs
    for side, place in enumerate((best.first, best.last)):
        found = states[side] @ head.weight[side] + head.bias[side]
        assert torch.allclose(found, logits[side, best.window, place], atol=5e-3)


def test_signals_are_float32_under_bf16(make, batch):
    module = ready(make())
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert module.logits(batch).dtype == torch.bfloat16
        found = module.signals(batch, frozenset())
    assert found["probabilities"].dtype == found["entropy"].dtype == torch.float32


def test_mutual_information_is_that_of_dropout(make, batch):
    needs = frozenset({"mutual_information"})
    with torch.no_grad():
        certain = ready(make(mc_samples=4)).signals(batch, needs)["mutual_information"]
        dropping = ready(make(mc_samples=4))
        for module in dropping.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.3
        uncertain = dropping.signals(batch, needs)["mutual_information"]
    assert torch.allclose(certain, torch.zeros(5), atol=1e-5)
    assert torch.all(uncertain > 1e-4)
    assert not any(part.training for part in dropping.modules())


# ---- files


def test_the_documented_code_gives_the_same_answers(make, data, tmp_path):
    module = ready(make())
    module.export(tmp_path)
    documented = documented_code("Answers to questions", tmp_path)
    split = data.fixed.splits.test.select(range(12))
    with torch.no_grad():
        output = module.outputs(module.task.encode(split).batch(range(12)))
    for index, row in enumerate(split):
        found = documented["answer"](row["text"], row["context"], stride=12, longest=4)
        expected = module.task.prediction({name: values[index] for name, values in output.items()}, row)
        assert expected.pop("question") == row["text"]
        assert expected == {**found, "score": pytest.approx(found["score"], abs=1e-5)}


def test_a_restored_module_answers_the_same_from_the_same_tables(make, data, batch, tmp_path, monkeypatch):
    module = ready(make())
    module.export(tmp_path)
    restored = make(pretrained="none")
    restored.restore(tmp_path)
    restored = ready(restored, seed=1)
    with torch.no_grad():
        assert torch.equal(restored.logits(batch), module.logits(batch))
    monkeypatch.setattr(type(restored.task.tokenizer), "__call__", None)
    assert np.array_equal(restored.task.encode(data.fixed.splits.pool).lengths, data.pool.table.lengths)


def test_a_row_is_its_question_and_its_context(data):
    pool = data.fixed.splits.pool
    other = pool.map(lambda row: {"context": row["context"] + " ."})
    assert text_digest(pool, columns=data.task.inputs) != text_digest(other, columns=data.task.inputs)


def test_the_head_has_two_outputs_whatever_the_checkpoint_had(make, case, tmp_path):
    shutil.copytree(case["--model.pretrained"], tmp_path / "other")
    config = json.loads((tmp_path / "other" / "config.json").read_text())
    labels = {"id2label": {"0": "a", "1": "b", "2": "c"}, "label2id": {"a": 0, "b": 1, "c": 2}}
    (tmp_path / "other" / "config.json").write_text(json.dumps(config | labels))
    assert ready(make(str(tmp_path / "other"))).model.qa_outputs.out_features == 2
