import json
import re

import datasets
import lightning as L
import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from task_cases import relation_extraction as case
from tiny import QUIET, documented_code, named
from transformers import AutoModel, AutoTokenizer

from lit_react.core.errors import UserError
from lit_react.data.datamodule import PoolDataModule
from lit_react.data.files import read_table
from lit_react.data.pairs import MARKERS, OFFSETS, mark_pairs, mentions, without_markers
from lit_react.data.tables import Split
from lit_react.tasks import RelationExtraction, TextClassification
from lit_react.tasks.relation_extraction import RelationMetrics, window

NAMES = sorted(case.RELATIONS)
SENTENCE = "the <e1> bank </e1> will boost <e2> shares of the firm </e2> ."


@pytest.fixture
def make(tiny_bert_without_dropout):
    def make(label_names=NAMES, **options):
        adamw = lambda parameters: torch.optim.AdamW(parameters, lr=3e-3)  # noqa: E731
        options = {"max_length": 24, "optimizer": adamw} | options
        return named(RelationExtraction(tiny_bert_without_dropout, **options), label_names)

    return make


@pytest.fixture
def data(make, tmp_path):
    path = tmp_path / "news.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in case.rows()))
    data = PoolDataModule(str(path), validation_size=20, test_size=30, batch_size=8)
    data.connect(make().task)
    known = data.fixed.known_labels()
    data.reveal("pool", dict(enumerate(known["pool"][:40])))
    data.reveal("validation", dict(enumerate(known["validation"])))
    return data


def ready(module, seed=0):
    torch.manual_seed(seed)
    module.configure_model()
    return module.eval()


def as_split(**columns):
    return Split(pa.table(columns), "here")


# ---- sentences with markers


def test_tokens_with_offsets_become_a_sentence_with_markers():
    split = as_split(
        tokens=[["The", "child", "wept", "."], ["a", "b", "c"]],
        head_start=[1, 1],
        head_end=[2, 3],
        tail_start=[2, 2],
        tail_end=[3, 3],
    )
    assert mark_pairs(split, "tokens").table["tokens"].to_pylist() == [
        "The <e1> child </e1> <e2> wept </e2> .",
        "a <e1> b <e2> c </e1> </e2>",
    ]


def test_markers_stand_alone_however_the_sentence_was_written():
    split = as_split(sentence=["The <e1>child</e1> wept<e2> much</e2>.", " <e2>It</e2>  has <e1> it </e1>"])
    assert mark_pairs(split, "sentence").table["sentence"].to_pylist() == [
        "The <e1> child </e1> wept <e2> much </e2> .",
        "<e2> It </e2> has <e1> it </e1>",
    ]


@settings(max_examples=50, deadline=None)
@given(words=st.lists(st.text("ab ", min_size=1).map(lambda w: f"x{w}"), min_size=1, max_size=9), data=st.data())
def test_mentions_are_the_tokens_between_the_offsets(words, data):
    spans = [sorted(data.draw(st.sets(st.integers(0, len(words)), min_size=2, max_size=2))) for _ in range(2)]
    offsets = dict(zip(OFFSETS, [[place] for span in spans for place in span], strict=True))
    (marked,) = mark_pairs(as_split(tokens=[words], **offsets), "tokens").table["tokens"].to_pylist()
    assert [m.split() for m in mentions(marked)] == [" ".join(words[start:end]).split() for start, end in spans]
    assert without_markers(marked).split() == " ".join(words).split()


@pytest.mark.parametrize(
    "sentence",
    ["no pair", "<e1> a </e1>", "</e1> a <e1> <e2> b </e2>", "<e1> a </e1> <e2> </e2>", f"{SENTENCE} <e1> again </e1>"],
)
def test_a_sentence_without_a_pair_is_refused_by_file_and_line(sentence, tmp_path):
    path = tmp_path / "data.tsv"
    path.write_text(f"text\n{SENTENCE}\n{sentence}\n")
    with pytest.raises(UserError, match=r"data\.tsv:3: column 'text': .* has no marked pair: expected <e1> head"):
        mark_pairs(read_table(path), "text")


@pytest.mark.parametrize(
    ("offsets", "message"),
    [
        ((0, 0, 1, 2), r"here row 1: head_start 0, head_end 0: expected token offsets.*0 <= start < end <= 2"),
        ((0, 1, 1, 3), r"here row 1: tail_start 1, tail_end 3: expected"),
        ((None, 1, 1, 2), r"head_start None, head_end 1: expected"),
        ((0, 1, -1, 2), r"tail_start -1, tail_end 2: expected"),
    ],
)
def test_offsets_out_of_the_sentence_are_refused(offsets, message):
    columns = dict(zip(OFFSETS, ([pair] for pair in offsets), strict=True))
    with pytest.raises(UserError, match=message):
        mark_pairs(as_split(tokens=[["a", "b"]], **columns), "tokens")


def test_missing_columns_and_tokens_that_are_markers_are_refused():
    with pytest.raises(UserError, match="here: no column 'head_start': its columns are tokens"):
        mark_pairs(as_split(tokens=[["a", "b"]]), "tokens")
    with pytest.raises(UserError, match="no column 'tokens'"):
        mark_pairs(as_split(text=["a"]), "tokens")
    places = dict(zip(OFFSETS, ([0], [1], [1], [2]), strict=True))
    with pytest.raises(UserError, match="row 1: column 'tokens': expected tokens without <e1>"):
        mark_pairs(as_split(tokens=[["a", "b", "<e1>"]], **places), "tokens")


# ---- the window


@settings(max_examples=200, deadline=None)
@given(data=st.data(), length=st.integers(6, 60), size=st.integers(6, 60))
def test_the_window_keeps_markers_and_what_is_near_them(data, length, size):
    inner = st.sets(st.integers(1, length - 2), min_size=4, max_size=4)
    at = np.sort(list(data.draw(inner)))
    marker = np.full(length, -1)
    marker[at] = range(4)
    special = np.isin(np.arange(length), [0, length - 1])
    kept = window(marker, special, size)
    assert len(kept) == min(length, size)
    assert np.all(np.diff(kept) > 0)
    assert set(at) | {0, length - 1} <= set(kept.tolist())
    words = np.setdiff1d(np.arange(length), [*at, 0, length - 1])
    between = {place: at[0] < place < at[-1] for place in words}
    distance = {place: np.abs(at - place).min() for place in words}
    for left in np.setdiff1d(words, kept):
        for taken in np.intersect1d(words, kept):
            assert (between[taken], -distance[taken]) >= (between[left], -distance[left])


@pytest.mark.parametrize("max_length", [8, 12, 24, 40])
def test_no_encoded_sentence_has_lost_a_marker(make, max_length):
    far = "<e1> " + "the firm and " * 6 + "</e1> " + "said that " * 20 + "<e2> bank </e2>"
    texts = [SENTENCE, "on friday " * 30 + SENTENCE, SENTENCE + " in london" * 30, far]
    module = make(max_length=max_length)
    table = module.task.encode(datasets.Dataset.from_dict({"text": texts}))
    batch = table.batch(range(4))
    ids = module.task.tokenizer.convert_tokens_to_ids(list(MARKERS))
    assert table.lengths.max() <= max_length
    for row in range(4):
        words = batch["input_ids"][row, : table.lengths[row]].tolist()
        assert [words.count(number) for number in ids] == [1, 1, 1, 1]
        assert [words.index(number) for number in ids] == [int((batch["marker"][row] == n).nonzero()) for n in range(4)]
        assert (words[0], words[-1]) == (module.task.tokenizer.cls_token_id, module.task.tokenizer.sep_token_id)


def test_a_length_without_room_for_a_pair_is_refused(make):
    with pytest.raises(UserError, match=r"model.max_length: 7 tokens hold no marked pair, expected 8 or more"):
        make(max_length=7).task.encode(datasets.Dataset.from_dict({"text": [SENTENCE]}))


# ---- rows, questions, metrics


def test_what_people_see_and_what_is_predicted_has_the_pair(make):
    module, row = make(), {"text": SENTENCE}
    asked = module.task.question(row)
    assert asked == {"text": SENTENCE, "head": "bank", "tail": "shares of the firm", "labels": NAMES}
    assert module.task.parse("Cause-Effect(e1,e2)", row) == NAMES.index("Cause-Effect(e1,e2)")
    told = module.task.prediction({"probabilities": np.array([0.1, 0.6, 0.1, 0.1, 0.1])}, row)
    assert (told["text"], told["head"], told["tail"], told["label"]) == (
        SENTENCE, "bank", "shares of the firm", "Cause-Effect(e2,e1)",
    )  # fmt: skip


@pytest.mark.shared_data
def test_tokens_and_marked_sentences_of_semeval_are_the_same_pairs(monkeypatch):
    data = PoolDataModule(
        "hf:SemEvalWorkshop/sem_eval_2010_task_8", local_copy="semeval2010_task8", validation_size=100
    )
    data.connect(RelationExtraction().task)
    assert (len(data.fixed.splits.pool), len(data.fixed.splits.test), len(data.fixed.class_names)) == (7900, 2717, 19)
    assert len({re.sub(r"\(.*", "", name) for name in data.fixed.class_names}) == 10
    row = next(row for row in data.fixed.splits.pool if "antenna" in row["text"])
    assert mentions(row["text"]) == ("configuration", "elements")


def test_the_metrics_have_the_official_score_beside_those_of_classification():
    metrics = RelationMetrics(NAMES, "Other")
    gold, predicted = torch.tensor([0, 1, 2, 3]), torch.tensor([0, 0, 2, 4])
    for _ in range(2):
        metrics.update(torch.eye(5)[predicted], gold)
        scalars, tables = metrics.compute()
        metrics.reset()
        assert scalars["f1"] == pytest.approx(0.25)
        assert scalars["accuracy"] == 0.5
        assert tables["per_relation_f1"] == {"Cause-Effect": 0.5, "Owner-Property": 0.0}
        assert np.sum(tables["confusion_matrix"]) == 4


# ---- the model


def test_a_fit_learns_which_relation_it_is_and_its_direction(make, data):
    module = make(lr_scheduler="constant_with_warmup")
    torch.manual_seed(0)
    L.Trainer(max_epochs=25, limit_val_batches=0, enable_checkpointing=False, **QUIET).fit(module, datamodule=data)
    module.eval()
    rows = data.pool.labeled_rows
    with torch.no_grad():
        probabilities = module.signals(data.pool.table.batch(rows), frozenset())["probabilities"]
    assert np.mean(probabilities.argmax(1).numpy() == [data.pool.labels[row] for row in rows]) > 0.9


def test_new_markers_begin_as_the_mean_of_all_embeddings(make, tiny_bert_without_dropout):
    module = ready(make())
    weight = module.model.base_model.get_input_embeddings().weight
    plain = TextClassification(tiny_bert_without_dropout).task.encoder().get_input_embeddings().weight
    assert len(weight) == len(plain) + 4
    assert torch.equal(weight[:-4], plain)
    assert torch.allclose(weight[-4:], plain.mean(0).expand(4, -1))


def test_the_head_reads_the_two_start_markers(make):
    module = ready(make())
    table = module.task.encode(datasets.Dataset.from_dict({"text": [SENTENCE, "<e2> it </e2> is <e1> the bank </e1>"]}))
    batch = table.batch([0, 1])
    with torch.no_grad():
        found = module.signals(batch, frozenset({"head_inputs", "mutual_information"}))
        hidden = module.model.base_model(batch["input_ids"], batch["attention_mask"])[0]
        head = module.model.head
        assert torch.allclose(found["head_inputs"].float() @ head.weight.T + head.bias, module.logits(batch), atol=2e-3)
    expected = torch.cat([hidden[[0, 1], [2, 5]], hidden[[0, 1], [7, 1]]], dim=1)
    assert torch.allclose(found["head_inputs"].float(), expected, atol=2e-3)
    assert found["mutual_information"].shape == (2,)


def test_the_order_of_the_mentions_matters_to_every_signal(make):
    module = ready(make())
    swapped = SENTENCE.replace("e1", "e0").replace("e2", "e1").replace("e0", "e2")
    batch = module.task.encode(datasets.Dataset.from_dict({"text": [SENTENCE, swapped]})).batch([0, 1])
    with torch.no_grad():
        first, second = module.signals(batch, frozenset())["probabilities"]
    assert not torch.allclose(first, second, atol=1e-4)


def test_first_texts_can_be_the_most_representative_ones(data):
    embeddings = data.task.embed(data.fixed.splits.pool)
    assert embeddings.shape == (len(data.fixed.splits.pool), 2 * 32)
    assert np.allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("name", ["other", "no_relation"])
def test_a_class_without_a_part_in_the_score_is_one_of_the_classes(make, name):
    with pytest.raises(UserError, match=rf"^model\.no_relation: '{name}' is none of the classes Cause-Effect"):
        make(no_relation=name).check()
    make(no_relation=None).check()


def test_rows_are_compared_by_their_pairs_not_by_their_sentences(make):
    module = ready(make())
    texts = [SENTENCE, "<e1> the </e1> bank will boost shares of the <e2> firm </e2> .", SENTENCE + " and so on"]
    batch = module.task.encode(datasets.Dataset.from_dict({"text": texts})).batch([0, 1, 2])
    with torch.no_grad():
        found = module.signals(batch, frozenset())["embeddings"].float()
        hidden = module.model.base_model(batch["input_ids"], batch["attention_mask"])[0]
    places = [
        batch["input_ids"][0].tolist().index(module.task.tokenizer.convert_tokens_to_ids(name)) for name in MARKERS
    ]
    (head, head_end, tail, tail_end) = places
    means = [hidden[0, head : head_end + 1].mean(0), hidden[0, tail : tail_end + 1].mean(0)]
    pair = torch.cat([mean / mean.norm() for mean in means])
    assert torch.allclose(found[0], pair / pair.norm(), atol=2e-3)
    similarity = found @ found.T
    assert similarity[0, 1] < similarity[0, 2]


def test_the_documented_code_gives_the_same_probabilities(make, data, tmp_path):
    module = ready(make())
    module.export(tmp_path)
    probabilities = documented_code("Relations, sentence encoders", tmp_path)["probabilities"]
    split = datasets.Dataset.from_dict({"text": [SENTENCE, "<e1> the bank </e1> fell because of <e2> rain </e2>"]})
    with torch.no_grad():
        expected = module.outputs(module.task.encode(split).batch([0, 1]))["probabilities"]
    for row, text in enumerate(split["text"]):
        assert list(probabilities(text)) == NAMES
        assert list(probabilities(text).values()) == pytest.approx(expected[row].tolist(), abs=1e-5)


def test_a_restored_module_predicts_what_the_exported_one_did(make, data, tmp_path):
    module = ready(make())
    module.export(tmp_path / "model")
    restored = make(label_names=None)
    restored.restore(tmp_path / "model")
    restored = ready(restored, seed=1)
    assert restored.names == NAMES
    batch = data.pool.table.batch(range(8))
    with torch.no_grad():
        assert torch.equal(restored.logits(batch), module.logits(batch))
    again = restored.task.encode(data.fixed.splits.pool)
    assert torch.equal(again.batch(range(8))["input_ids"], batch["input_ids"])
    assert {path.name for path in (tmp_path / "model").iterdir()} == {"encoder", "head.safetensors", "lit_react.json"}


def test_markers_begin_as_the_mean_of_the_words_also_where_the_table_is_larger_than_the_vocabulary(
    tmp_path, tiny_bert_without_dropout
):
    encoder = AutoModel.from_pretrained(tiny_bert_without_dropout)
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert_without_dropout)
    words = len(tokenizer)
    encoder.resize_token_embeddings(words + 60, mean_resizing=False)
    encoder.get_input_embeddings().weight.data[words:] = 0
    encoder.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    for pretrained in (tiny_bert_without_dropout, str(tmp_path)):
        module = named(RelationExtraction(pretrained), ["a", "b"])
        module.configure_model()
        table = module.model.base_model.get_input_embeddings().weight
        for marker in module.task.tokenizer.convert_tokens_to_ids(list(MARKERS)):
            assert torch.allclose(table[marker], table[:words].mean(0), atol=1e-6)
