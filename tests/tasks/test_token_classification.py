import json

import datasets
import lightning as L
import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from task_cases.token_classification import options
from tiny import QUIET, documented_code, named
from torch.nn import functional as F
from transformers import RobertaConfig, RobertaModel, RobertaTokenizer, pipeline

from lit_react.core.errors import UserError
from lit_react.data.datamodule import PoolDataModule
from lit_react.data.files import read_table
from lit_react.data.tables import Split
from lit_react.tasks import TokenClassification
from lit_react.tasks.entities import entities_of, tag_names, tags_of

TYPES = ["LOC", "PER"]
TAGS = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
sentences = st.lists(st.sampled_from(TAGS), max_size=12)


@pytest.fixture
def make(tiny_bert):
    def make(pretrained=tiny_bert, label_names=TYPES, **options):
        return named(TokenClassification(pretrained, **{"max_length": 16} | options), label_names)

    return make


@pytest.fixture
def read(make, tmp_path):
    """The source that the task reads from rows of a file of JSON lines."""

    def read(*rows, label_names=None, **splits):
        tables = {}
        for part, of_part in {"pool": rows, **splits}.items():
            path = tmp_path / f"{part}.jsonl"
            path.write_text("".join(json.dumps(row) + "\n" for row in of_part))
            tables[part] = read_table(path)
        return make().task.read(tables, label_names=label_names)

    return read


def ready(module):
    torch.manual_seed(0)
    module.configure_model()
    return module.eval()


def table_of(*sentences):
    return datasets.Dataset.from_dict({"text": list(sentences), "tokens": [text.split() for text in sentences]})


ROW = {"tokens": ["in", "new", "york"], "ner_tags": ["O", "B-LOC", "I-LOC"]}
EVA = {"tokens": ["eva"], "ner_tags": ["B-PER"]}


# ---- rows


def test_tags_are_numbered_by_type_and_the_text_is_for_people(read):
    source = read(ROW, EVA, {"tokens": [], "ner_tags": []})
    assert source.label_names == TYPES
    assert source.pool["label"][:] == [[0, 1, 2], [3], []]
    assert source.pool["text"][:] == ["in new york", "eva", ""]
    assert source.pool["tokens"][0] == ROW["tokens"]
    assert read(ROW, EVA, label_names=["PER", "LOC"]).pool["label"][:] == [[0, 3, 4], [1]]


def test_words_are_joined_by_the_separator(make):
    table = pa.table({"tokens": [["浙", "商"]], "text": ["other"], "minutes": [2.0]})
    pool = make(separator="").task.read({"pool": Split(table, "x")}).pool
    assert pool[0] == {"text": "浙商", "label": None, "minutes": 2.0, "tokens": ["浙", "商"]}


@pytest.mark.parametrize("named_by", ["hub", "user"])
def test_integers_are_tags_that_the_hub_or_the_user_names(make, named_by):
    names = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    kind = datasets.ClassLabel(names=names) if named_by == "hub" else datasets.Value("int64")
    features = datasets.Features({"tokens": datasets.List(datasets.Value("string")), "ner_tags": datasets.List(kind)})
    rows = {"tokens": [ROW["tokens"], ["eva"]], "ner_tags": [[0, 3, 4], [1]]}
    table = datasets.Dataset.from_dict(rows, features=features).data.table
    source = make().task.read({"pool": Split(table, "x")}, label_names=names if named_by == "user" else None)
    assert source.label_names == ["PER", "LOC"]
    assert source.pool["label"][:] == [[0, 3, 4], [1]]


def test_tags_may_be_unknown_in_the_pool_only(read):
    assert read(ROW, {"tokens": ["x"], "ner_tags": None}).pool["label"][:] == [[0, 1, 2], None]
    with pytest.raises(UserError, match=r"validation\.jsonl:2: no label"):
        read(ROW, validation=[ROW, {"tokens": ["x"], "ner_tags": None}])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([ROW, {"tokens": ["a"], "ner_tags": ["O", "O"]}], r"pool\.jsonl:2: 2 tags for 1 tokens"),
        ([ROW, {"tokens": ["a"], "ner_tags": ["S-PER"]}], r"pool\.jsonl:2: unknown tag 'S-PER': expected O, B-<type>"),
        ([ROW, {"tokens": ["a", None], "ner_tags": ["O", "O"]}], r"pool\.jsonl:2: a null in column 'tokens'"),
        ([ROW, {"tokens": ["a"], "ner_tags": [None]}], r"pool\.jsonl:2: a null in column 'ner_tags'"),
        ([ROW, {"tokens": None, "ner_tags": None}], r"pool\.jsonl:2: no words"),
        (
            [{"tokens": "in new york", "ner_tags": "O O O"}],
            r"'ner_tags': 'O O O': expected spans of characters",
        ),
        ([{"tokens": [1], "ner_tags": ["O"]}], r"'tokens' holds list<item: int64>: expected lists of words"),
        ([{"tokens": ["a"], "ner_tags": [0]}], r"unknown tag '0': expected O, .*, or integers and data\.label_names"),
        ([{"text": "a"}], r"no column 'tokens': its columns are text"),
    ],
)
def test_rows_that_cannot_be_read_are_named(read, rows, message):
    with pytest.raises(UserError, match=message):
        read(*rows)


def test_tags_outside_the_named_types_are_refused(read):
    with pytest.raises(UserError, match=r"pool\.jsonl:2: label 'B-PER' is not one of label_names: O, B-LOC"):
        read(ROW, EVA, label_names=["LOC"])
    with pytest.raises(UserError, match=r"pool\.jsonl:1: label 7 is not one of 5 named classes"):
        read({"tokens": ["a"], "ner_tags": [7]}, label_names=TAGS)


# ---- labels and answers


@given(sentences)
def test_spans_and_tags_say_the_same(tags):
    ids = [TAGS.index(tag) for tag in tags]
    found = entities_of(ids, TYPES)
    again = tags_of(found, len(ids), TYPES)
    assert entities_of(again, TYPES) == found
    assert [tag > 0 for tag in again] == [tag > 0 for tag in ids]
    assert tags_of(tags, len(ids), TYPES) == ids


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([{"start": 0, "end": 4, "label": "PER"}], "expected integers, 0 <= start < end <= 3"),
        ([{"start": 1, "end": 1, "label": "PER"}], "0 <= start < end"),
        ([{"start": 0, "end": True, "label": "PER"}], "expected integers"),
        ([{"start": 0, "end": 2, "label": "ORG"}], "unknown label 'ORG': expected one of LOC, PER"),
        ([{"start": 0, "end": 2, "label": "PER"}, {"start": 1, "end": 3, "label": "LOC"}], "1 to 3 overlaps"),
        (["O", "O"], "2 tags: expected 3, one for each token"),
        (["O", "O", "B-ORG"], "unknown tag 'B-ORG': expected one of O, B-LOC"),
        ("PER", "expected a list of entities"),
        ([0, 0, 1], "or a list of 3 BIO tags; got"),
    ],
)
def test_answers_that_are_none_are_refused(make, answer, message):
    with pytest.raises(ValueError, match=message):
        make().task.parse(answer, {"tokens": ["a", "b", "c"]})


def test_a_label_stands_for_its_most_frequent_type_and_is_shown_with_its_words(make):
    module, row = make(), {"text": "eva met bob in rome", "tokens": ["eva", "met", "bob", "in", "rome"]}
    label = module.task.parse([{"start": 0, "end": 1, "label": "PER"}, {"start": 4, "end": 5, "label": "LOC"}], row)
    assert label == [3, 0, 0, 0, 1]
    assert module.task.class_of([3, 0, 3, 0, 1]) == 1
    assert module.task.class_of(label) == 0, "of equally many the first"
    assert module.task.class_of([0] * 5) == module.task.class_of([]) == 2
    assert module.task.describe(row, label) == (row["text"], "PER: eva; LOC: rome")
    assert module.task.describe(row, [0] * 5)[1] == "no entity"
    assert module.task.question(row) == row | {"labels": TYPES}


# ---- encoding


def test_a_word_is_its_first_piece_unless_cut_off_or_vanished(make):
    module = make(max_length=6)
    table = module.task.encode(table_of("the \u200b zz market rose", "the"))
    batch = table.batch([0, 1], [[1, 2, 3, 4, 1], [3]])
    pieces = module.task.tokenizer.convert_ids_to_tokens(batch["input_ids"][0])
    assert pieces == ["[CLS]", "the", "z", "##z", "market", "[SEP]"]
    assert batch["word_ids"].tolist() == [[-1, 0, 2, -1, 3, -1], [-1, 0, -1, -1, -1, -1]]
    assert batch["labels"].tolist() == [[1, 2, 3, 4, 1], [3, -1, -1, -1, -1]]
    assert batch["num_words"].tolist() == module.task.sizes(table_of("x"), table).tolist() == [5, 1]


def test_byte_level_tokenizers_see_a_space_before_each_word(make, tmp_path):
    letters = {letter: number for number, letter in enumerate("abĠ", 5)}
    vocabulary = {name: number for number, name in enumerate(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])} | letters
    RobertaTokenizer(vocab=vocabulary | {"Ġa": 8}, merges=[("Ġ", "a")]).save_pretrained(tmp_path)
    RobertaModel(
        RobertaConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=1)
    ).save_pretrained(tmp_path)
    module = make(str(tmp_path))
    batch = module.task.encode(table_of("a ab")).batch([0])
    assert module.task.tokenizer.convert_ids_to_tokens(batch["input_ids"][0]) == ["<s>", "Ġa", "Ġa", "b", "</s>"]
    assert batch["word_ids"].tolist() == [[-1, 0, 1, -1, -1]]


# ---- loss and metrics


def test_the_loss_is_that_of_the_words_first_pieces(make):
    module = ready(make(max_length=6))
    batch = module.task.encode(table_of("the \u200b zz market rose", "the")).batch([0, 1], [[1, 2, 3, 4, 1], [3]])
    with torch.no_grad():
        logits = module.logits(batch)
        expected = F.cross_entropy(logits[[0, 0, 0, 1], [1, 2, 4, 1]], torch.tensor([1, 3, 4, 3]))
        assert float(module.loss(batch)) == pytest.approx(float(expected), rel=1e-5)
        assert float(module.loss(module.task.encode(table_of("")).batch([0], [[]]))) == 0


def test_entities_behind_the_cut_are_missed(make, monkeypatch):
    module, label = ready(make(max_length=5)), [3, 0, 1, 0, 1]
    batch = module.task.encode(table_of("the market rose a goal")).batch([0], [label])
    right = F.one_hot(torch.tensor([[0, 3, 0, 1, 0]]), 5).float() * 50
    monkeypatch.setattr(module, "logits", lambda batch: right)
    assert float(module.evaluate(batch, module.val_metrics)) == pytest.approx(0, abs=1e-6)
    scalars, tables = module.val_metrics.compute()
    assert scalars["precision"] == 1
    assert scalars["recall"] == pytest.approx(2 / 3)
    assert tables["per_type_f1"] == {"LOC": pytest.approx(2 / 3), "PER": 1}
    predicted = module.task.prediction({"tags": module.outputs(batch)["tags"][0], "probability": 1.0}, table_of("x")[0])
    assert predicted["label"] == [{"start": 0, "end": 1, "label": "PER"}, {"start": 2, "end": 3, "label": "LOC"}]


def test_a_fit_learns_the_case(tmp_path):
    words = options(tmp_path)
    case = dict(zip(words[::2], words[1::2], strict=True))
    data = PoolDataModule(case["--data.source"], validation_size=16, batch_size=8)
    module = TokenClassification(case["--model.pretrained"], optimizer=lambda p: torch.optim.AdamW(p, lr=5e-3))
    data.connect(module.task)
    known = data.fixed.known_labels()
    data.reveal("pool", dict(enumerate(known["pool"])))
    data.reveal("validation", dict(enumerate(known["validation"])))
    L.seed_everything(0, verbose=False)
    trainer = L.Trainer(max_epochs=8, enable_checkpointing=False, **QUIET)
    trainer.fit(module, datamodule=data)
    assert module.task.monitor == "val/f1"
    assert float(trainer.callback_metrics["val/f1"]) > 0.8


# ---- signals


def test_a_module_gives_all_it_offers_for_any_padding_and_for_no_words(make):
    module = ready(make())
    table = module.task.encode(table_of("the market rose", "", "a goal in the last minute of the match"))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        found = module.signals(table.batch([0, 1, 2]), module.offers)
        assert not any(part.training for part in module.modules())
    assert found.keys() > module.offers
    assert found["probabilities"].dtype == torch.float32
    assert found["head_inputs"].shape == (3, 32)
    assert found["probabilities"][1].tolist() == [0, 0, 1]
    assert float(found["max_probability"][1]) == float(found["margin"][1]) == 1
    assert all(bool(values.isfinite().all()) for values in found.values())
    assert bool((found["mutual_information"][[0, 2]] > 0).all())
    with torch.no_grad():
        together, alone = (module.signals(table.batch(rows), frozenset({"head_inputs"})) for rows in ([0, 2], [0]))
    for name, values in alone.items():
        assert torch.allclose(values[0].float(), together[name][0].float(), atol=2e-3), name


# ---- export


def test_a_pipeline_finds_the_same_entities_in_an_exported_model(make, tmp_path):
    module = ready(make(max_length=32))
    texts = ["the market rose in the last minute", "a goal for zurich and the bank", "new phones cost the government"]
    table = module.task.encode(table_of(*texts))
    with torch.no_grad():
        predicted = module.predict_step(table.batch(range(3)), 0)
    module.export(tmp_path)
    find = pipeline("token-classification", str(tmp_path), aggregation_strategy="first", device="cpu")
    assert sum(tag > 0 for tags in predicted["tags"] for tag in tags) > 3, "a model that finds nothing shows nothing"
    for row, text in enumerate(texts):
        ours = entities_of(predicted["tags"][row], TYPES)
        starts = np.cumsum([0, *(len(word) + 1 for word in text.split())])
        spans = [(int(starts[e["start"]]), int(starts[e["end"]]) - 1, e["label"]) for e in ours]
        assert [(e["start"], e["end"], e["entity_group"]) for e in find(text)] == spans
    restored = make(label_names=None)
    restored.restore(tmp_path)
    assert restored.names == TYPES
    assert ready(restored).model.config.id2label == dict(enumerate(tag_names(TYPES)))


def test_the_documented_code_finds_the_same_entities_in_words_of_several_parts(make, tmp_path):
    module = ready(make(max_length=32))
    texts = ["the al-ain market rose in the u.s. last minute", "a goal for f.c. zurich-west and the bank ,", "-", "the"]
    table = module.task.encode(table_of(*texts))
    with torch.no_grad():
        predicted = module.predict_step(table.batch(range(len(texts))), 0)
    module.export(tmp_path)
    entities = documented_code("Named entities", tmp_path)["entities"]
    found = [entities(text.split()) for text in texts]
    assert sum(map(len, found)) > 3
    assert found == [entities_of(tags, TYPES) for tags in predicted["tags"]]


def test_a_checkpoint_without_tags_needs_label_names(make):
    with pytest.raises(UserError, match=r"was not trained for BIO tags; give data\.label_names"):
        make(label_names=None).names  # noqa: B018  reads the checkpoint
