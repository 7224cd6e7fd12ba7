import json

import datasets
import lightning as L
import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score
from task_cases import multi_label as case
from tiny import QUIET, named
from transformers import pipeline

from lit_react.annotation.costs import ConstantCost
from lit_react.core.errors import UserError
from lit_react.data.datamodule import PoolDataModule
from lit_react.data.files import read_table
from lit_react.data.label_sets import number_label_sets
from lit_react.data.tables import Split
from lit_react.tasks import MultiLabelClassification
from lit_react.tasks.multi_label import MultiLabelMetrics

NAMES = sorted(case.PHRASES)


@pytest.fixture
def make(tiny_bert_without_dropout):
    def make(label_names=NAMES, **options):
        adamw = lambda parameters: torch.optim.AdamW(parameters, lr=3e-3)  # noqa: E731
        options = {"max_length": 32, "optimizer": adamw} | options
        return named(MultiLabelClassification(tiny_bert_without_dropout, **options), label_names)

    return make


@pytest.fixture
def news(tmp_path):
    path = tmp_path / "news.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in case.rows()))
    return path


@pytest.fixture
def data(make, news):
    data = PoolDataModule(str(news), validation_size=20, test_size=30, batch_size=8)
    data.connect(make().task)
    known = data.fixed.known_labels()
    data.reveal("pool", dict(enumerate(known["pool"][:40])))
    data.reveal("validation", dict(enumerate(known["validation"])))
    return data


def ready(module, seed=0):
    torch.manual_seed(seed)
    module.configure_model()
    return module.eval()


def sets(label_names=None, separator="|", **parts):
    """Label names and the sets of each split, from columns `labels`."""
    tables = {name: Split(pa.table({"text": ["a"] * len(c), "labels": c}), name) for name, c in parts.items()}
    source = number_label_sets(tables, "text", "labels", label_names, separator)
    splits = {"pool": source.pool, "validation": source.validation, "test": source.test}
    return source.label_names, {name: split["label"][:] for name, split in splits.items() if split is not None}


# ---- sets of labels


def test_lists_of_names_are_sorted_sets_of_ids():
    names, found = sets(pool=[["b", "a"], [], None, ["b", "b"]], test=[["a"], []])
    assert names == ["a", "b"]
    assert found == {"pool": [[0, 1], [], None, [1]], "test": [[0], []]}


def test_ids_are_named_by_their_digits_by_the_options_or_by_the_hub():
    assert sets(pool=[[10, 2], []]) == (["2", "10"], {"pool": [[0, 1], []]})
    assert sets(["no", "yes"], pool=[[1], [0, 1]]) == (["no", "yes"], {"pool": [[1], [0, 1]]})
    entry = datasets.List(datasets.ClassLabel(names=["joy", "anger", "fear"]))
    features = datasets.Features({"text": datasets.Value("string"), "labels": entry})
    hub = datasets.Dataset.from_dict({"text": ["a"], "labels": [[2, 0]]}, features=features)
    table = hub.with_format("arrow")[:].replace_schema_metadata(features.arrow_schema.metadata)
    source = number_label_sets({"pool": Split(table, "hub")}, "text", "labels")
    assert (source.label_names, source.pool["label"][:]) == (["joy", "anger", "fear"], [[0, 2]])


def test_a_string_is_cut_at_the_separator_alone_it_is_the_empty_set_and_without_anything_unknown(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("text,labels\nx,b | a\nx,|\nx,\nx,b\n")
    source = number_label_sets({"pool": read_table(path)}, "text", "labels")
    assert (source.label_names, source.pool["label"][:]) == (["a", "b"], [[0, 1], [], None, [1]])
    assert sets(separator=";", pool=["a|b;c"])[0] == ["a|b", "c"]


def test_a_pool_without_labels_takes_the_names_of_the_other_splits():
    assert sets(pool=[None, None], test=[["b"], ["a"]])[0] == ["a", "b"]
    tables = {"pool": Split(pa.table({"text": ["x"]}), "pool")}
    assert number_label_sets(tables, "text", "labels").pool["label"][:] == [None]


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"pool": [["a"]], "test": [["a"], ["c"]]}, {}, r"test row 2: label 'c' is not one of the pool's labels.*: a$"),
        ({"pool": [["c"]]}, {"label_names": ["a", "b"]}, r"pool row 1: label 'c' is not one of label_names: a, b"),
        ({"pool": [[2]]}, {"label_names": ["a", "b"]}, r"pool row 1: label 2 is not one of 2 named classes"),
        ({"pool": [["a"]], "test": [None]}, {}, r"test row 1: no label: expected one in every row of the validation"),
        ({"pool": [0.5]}, {}, r"pool: column 'labels' holds double: expected a list of names or ids, or a string"),
        ({"pool": [["a"], ["a", None]]}, {}, r"pool row 2: a null in column 'labels': expected names or ids"),
    ],
)
def test_what_is_no_set_of_labels_is_refused(columns, options, message):
    with pytest.raises(UserError, match=message):
        sets(**columns, **options)


# ---- answers, costs


def test_people_answer_with_names(make):
    module, row = make(separator=","), {"text": "x"}
    assert module.task.parse(["sport", "economy", "sport"], row) == [0, 3]
    assert (module.task.parse([], row), module.task.parse(",", row)) == ([], [])
    assert module.task.parse("music, politics", row) == [1, 2]
    assert module.task.question(row) == {"text": "x", "labels": NAMES}
    assert [module.task.describe(row, label)[1] for label in ([0, 3], [])] == ["economy, sport", "(none)"]
    for answer, message in (
        (["weather"], "unknown label 'weather': expected some of economy, music, politics, sport"),
        (7, "7 is no list: expected one of some of economy"),
    ):
        with pytest.raises(ValueError, match=message):
            module.task.parse(answer, row)


def test_a_text_costs_a_unit_for_each_label_that_is_judged(data, news, make):
    assert set(data.pool.costs) == {4.0}
    by_text = PoolDataModule(str(news), validation_size=20, test_size=30, cost=ConstantCost())
    by_text.connect(make().task)
    assert set(by_text.pool.costs) == {1.0}


@pytest.mark.parametrize("separator", ["", " "])
def test_an_empty_separator_is_refused(make, separator):
    with pytest.raises(UserError, match=r"model\.separator"):
        make(separator=separator)


def test_one_label_alone_is_refused(make):
    with pytest.raises(UserError, match=r"\['a'\] are too few, expected 2 or more"):
        ready(make(label_names=["a"]))


# ---- batches, loss, metrics


@settings(max_examples=50, deadline=None)
@given(rows=st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=1, max_size=8), seed=st.integers(0, 9))
def test_metrics_equal_scikit_learns(rows, seed):
    gold = torch.tensor(rows).int()
    probabilities = torch.rand(gold.shape, generator=torch.Generator().manual_seed(seed))
    metrics = MultiLabelMetrics(NAMES)
    metrics.update(probabilities, gold)
    scalars, tables = metrics.compute()
    predicted = (probabilities > 0.5).int()
    for name, average in (("micro_f1", "micro"), ("macro_f1", "macro")):
        assert float(scalars[name]) == pytest.approx(f1_score(gold, predicted, average=average, zero_division=0))
    assert float(scalars["subset_accuracy"]) == pytest.approx(accuracy_score(gold, predicted))
    each = f1_score(gold, predicted, average=None, zero_division=0)
    assert list(tables["per_label_f1"].values()) == pytest.approx(list(each))


def test_sets_of_a_batch_become_zeros_and_ones(data):
    labels = data.pool.table.batch([0, 1, 2], [[1, 3], [], [0]])["labels"]
    assert (labels.dtype, labels.tolist()) == (torch.int64, [[0, 1, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0]])
    assert data.pool.table.batch([0], [[]])["labels"].tolist() == [[0, 0, 0, 0]]


def test_the_loss_is_binary_cross_entropy_and_balanced_weighs_those_that_have_a_label(make, data):
    module = ready(make(class_weights="balanced"))
    labels = [[0], [0, 1], [0], [0]]
    batch = data.pool.table.batch(range(4), labels)
    with torch.no_grad():
        p = module.logits(batch).double().sigmoid()
        hot = torch.tensor([[1, 0, 0, 0], [1, 1, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]])
        expected = -(hot * p.log() + (1 - hot) * (1 - p).log())
        assert float(module.loss(batch)) == pytest.approx(float(expected.mean()), rel=1e-5)
        dataset = type("Bought", (), {"labels": labels})()
        loader = type("Loader", (), {"dataset": dataset})()
        module._trainer = type("Trainer", (), {"train_dataloader": loader, "barebones": False})()
        module.on_train_start()
        assert module._weight.tolist() == [0.25, 3.0, 1.0, 1.0]
        weighted = expected * torch.where(hot == 1, module._weight, 1)
        assert float(module.loss(batch)) == pytest.approx(float(weighted.mean()), rel=1e-5)


def test_a_fit_learns_the_sets(make, data):
    module = make(lr_scheduler="constant_with_warmup")
    torch.manual_seed(0)
    L.Trainer(max_epochs=25, limit_val_batches=0, enable_checkpointing=False, **QUIET).fit(module, datamodule=data)
    module.eval()
    rows = data.pool.labeled_rows
    batch = data.pool.table.batch(rows, [data.pool.labels[row] for row in rows])
    with torch.no_grad():
        predicted = module.outputs(batch)["probabilities"] > 0.5
    assert torch.equal(predicted, batch["labels"].bool())


# ---- signals


@settings(max_examples=50, deadline=None)
@given(rows=st.lists(st.lists(st.floats(-30, 30), min_size=3, max_size=3), min_size=1, max_size=5))
def test_what_is_told_of_a_set_is_in_its_range(rows):
    logits = torch.tensor(rows)
    found = MultiLabelClassification().certainty(logits)
    assert torch.allclose(found["probabilities"].sum(1), torch.ones(len(rows)), atol=1e-5)
    assert found["probabilities"].shape == (len(rows), 4)
    assert found["entropy"].min() >= 0
    assert found["entropy"].max() <= np.log(4) + 1e-5
    assert found["margin"].min() >= 0
    assert torch.all(found["max_probability"] >= 0.5)
    assert torch.all(found["margin"] <= 2 * found["max_probability"] - 1 + 1e-5)
    assert all(value.dtype == torch.float32 for value in found.values())


def test_signals_by_hand(make):
    found = make(label_names=["a", "b"]).certainty(torch.tensor([[0.0, 0.0], [np.log(3.0), -np.log(3.0)]]))
    for summary, (a, b, none) in zip(found["probabilities"], [(0.5, 0.5, 0.25), (0.75, 0.25, 0.1875)], strict=True):
        assert summary.tolist() == pytest.approx([p / (a + b + none) for p in (a, b, none)])
    binary = -(0.75 * np.log2(0.75) + 0.25 * np.log2(0.25))
    assert found["entropy"].tolist() == pytest.approx([np.log(3), binary * np.log(3)])
    assert found["margin"].tolist() == pytest.approx([0, 0.5])
    assert found["max_probability"].tolist() == pytest.approx([0.5, 0.75])


def test_a_set_stands_in_for_its_lowest_id_and_the_empty_one_for_none(make):
    assert [make().task.class_of(label) for label in ([2, 3], [0], [])] == [2, 0, 4]


def test_mutual_information_is_the_sum_over_the_labels(make, tiny_bert, data):
    needs = frozenset({"mutual_information", "head_inputs"})
    batch = data.pool.table.batch(range(4))
    with torch.no_grad():
        certain = ready(make(mc_samples=3)).signals(batch, needs)
        module = ready(named(MultiLabelClassification(tiny_bert, mc_samples=4), NAMES))
        torch.manual_seed(0)
        found = module.signals(batch, needs)["mutual_information"]
        torch.manual_seed(0)
        module.logits(batch)
        with module._dropout():
            p = torch.stack([module.logits(batch).sigmoid() for _ in range(4)])
    entropy = lambda p: torch.special.entr(p) + torch.special.entr(1 - p)  # noqa: E731
    assert torch.allclose(found, (entropy(p.mean(0)) - entropy(p).mean(0)).sum(1), atol=1e-5)
    assert torch.allclose(certain["mutual_information"], torch.zeros(4), atol=1e-5)
    assert certain["head_inputs"].shape == (4, 32)


# ---- predictions, export


def test_a_pipeline_gives_the_same_probabilities_and_predictions_read_as_data(make, data, tmp_path):
    module = ready(make())
    module.export(tmp_path)
    table = data.fixed.splits.pool.select(range(5))
    with torch.no_grad():
        outputs = module.outputs(data.pool.table.batch(range(5)))
    told = [module.task.prediction({"probabilities": outputs["probabilities"][i].numpy()}, table[i]) for i in range(5)]
    for apply in ({"function_to_apply": "sigmoid"}, {}):
        classify = pipeline("text-classification", model=str(tmp_path), top_k=None, device="cpu", **apply)
        for answers, prediction in zip(classify(table["text"][:]), told, strict=True):
            scores = {answer["label"]: answer["score"] for answer in answers}
            assert scores == pytest.approx(prediction["probabilities"], abs=1e-4)
            assert prediction["labels"] == [name for name in NAMES if scores[name] > 0.5]
    assert sets(NAMES, pool=[line["labels"] for line in told])[0] == NAMES


def test_a_restored_module_has_the_exported_weights(make, data, tmp_path):
    module = ready(make())
    module.export(tmp_path)
    restored = make(label_names=None)
    restored.restore(tmp_path)
    restored = ready(restored, seed=1)
    batch = data.pool.table.batch(range(4))
    with torch.no_grad():
        assert torch.equal(restored.logits(batch), module.logits(batch))
    assert restored.names == NAMES
