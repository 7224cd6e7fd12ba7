"""Rows of the tasks and their variants: tags, labels and mentions stay aligned."""

import datasets
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import save_bert
from transformers import BertForMaskedLM

from lit_react.augmentation.texts import Several, WordDropout, WordSwap
from lit_react.core.errors import UserError
from lit_react.data.pairs import mentions
from lit_react.pretraining.infilling import Infilling
from lit_react.tasks import (
    LinearProbe,
    MultiLabelClassification,
    QuestionAnswering,
    RelationExtraction,
    TextClassification,
    TokenClassification,
)
from lit_react.tasks.entities import entities_of
from lit_react.tasks.multi_label import MultiLabelTask
from lit_react.tasks.token_classification import EntityTask

TYPES = ["PER", "LOC"]
SENTENCES = st.lists(
    st.lists(st.tuples(st.sampled_from(["anna", "ran", "to", "rome", ".", ""]), st.integers(0, 4)), max_size=10),
    max_size=4,
)
WILD = Several([WordDropout(0.5), WordSwap(0.7)])


@pytest.fixture(scope="module")
def parts(tmp_path_factory) -> list:
    folder = save_bert(
        tmp_path_factory.mktemp("masked"), ["anna", "ran", "to", "rome"], dropout=0.0, model_class=BertForMaskedLM
    )
    infilling = Infilling(folder, share=0.5)
    return [WordDropout(0.5), WordSwap(1.0), infilling, Several([WordDropout(0.3), infilling, WordSwap(0.5)])]


def sentences(words: list[list[str]], separator: str = " ") -> datasets.Dataset:
    features = datasets.Features(
        {
            "text": datasets.Value("string"),
            "label": datasets.List(datasets.Value("int64")),
            "tokens": datasets.List(datasets.Value("string")),
        }
    )
    columns = {"text": [separator.join(row) for row in words], "label": [None] * len(words), "tokens": words}
    return datasets.Dataset.from_dict(columns, features=features)


def texts(*rows: str) -> datasets.Dataset:
    return datasets.Dataset.from_dict({"text": list(rows), "label": [None] * len(rows)})


@given(rows=SENTENCES, seed=st.integers(0, 2**40))
@settings(max_examples=20, deadline=None)
def test_entities_are_the_same_before_and_after(parts, rows, seed) -> None:
    words, tags = [[w for w, _ in row] for row in rows], [[t for _, t in row] for row in rows]
    task = EntityTask(label_names=TYPES)
    for part in parts:
        table, labels = task.varied(sentences(words), tags, part, seed)
        assert table["text"][:] == [" ".join(row) for row in table["tokens"][:]]
        for old, old_tags, new, new_tags in zip(words, tags, table["tokens"][:], labels, strict=True):
            assert len(new) == len(new_tags)
            assert bool(new) == bool(old)
            assert named(new, new_tags) == named(old, old_tags)
            tagged = [(word, tag) for word, tag in zip(old, old_tags, strict=True) if tag]
            assert [(word, tag) for word, tag in zip(new, new_tags, strict=True) if tag] == tagged


def named(words: list[str], tags: list[int]) -> list[tuple[str, list[str]]]:
    return [(entity["label"], words[entity["start"] : entity["end"]]) for entity in entities_of(tags, TYPES)]


def test_words_that_are_no_entity_do_vary() -> None:
    words, tags = [[*"abcdefgh"]], [[0, 0, 1, 2, 0, 0, 0, 0]]
    seen = {tuple(TokenClassification().task.varied(sentences(words), tags, WILD, seed)[1][0]) for seed in range(20)}
    assert len(seen) > 3


def test_chinese_sentences_are_joined_without_spaces() -> None:
    task = EntityTask(separator="")
    table, labels = task.varied(sentences([list("我去北京了")], ""), [[0, 0, 3, 4, 0]], WordSwap(1.0), 0)
    assert sorted(table["text"][0]) == sorted("我去北京了")
    assert "北京" in table["text"][0]
    assert labels[0].index(3) == table["text"][0].index("北")


@pytest.mark.parametrize("task", [TextClassification, LinearProbe])
def test_texts_keep_their_class(task) -> None:
    rows = texts("the cat sat on the mat", "我喜欢这部电影", "", "one")
    table, labels = task().task.varied(rows, [2, 0, 1, 1], WordSwap(1.0), 0)
    assert table.column_names == ["text"]
    assert labels == [2, 0, 1, 1]
    spaced, unspaced, *others = table["text"][:]
    assert sorted(spaced.split()) == sorted(rows["text"][0].split())
    assert spaced != rows["text"][0]
    assert sorted(unspaced) == sorted(rows["text"][1])
    assert unspaced != rows["text"][1]
    assert others == ["", "one"]


def test_sets_of_labels_stay(tiny_bert) -> None:
    task = MultiLabelTask(pretrained=tiny_bert, label_names=["a", "b"])
    table, labels = task.varied(texts("the cat sat", "a dog"), [[0, 1], []], WILD, 0)
    assert labels == [[0, 1], []]
    assert len(task.encode(table)) == 2


def test_variants_are_encoded_as_rows_are(tiny_bert) -> None:
    task = EntityTask(pretrained=tiny_bert, label_names=TYPES)
    table, labels = task.varied(sentences([["anna", "ran", "to", "rome"], []]), [[1, 0, 0, 3], []], WILD, 0)
    batch = task.encode(table).batch([0, 1], labels)
    assert batch["num_words"].tolist() == [len(labels[0]), 0]


def test_no_rows_have_no_variants() -> None:
    assert TextClassification().task.varied(texts(), [], WILD, 0)[1] == []
    assert TokenClassification().task.varied(sentences([]), [], WILD, 0)[1] == []


@pytest.mark.parametrize(
    "text",
    [
        "a big <e1> old child </e1> was put into the <e2> cradle </e2> last night",
        "so <e2> the <e1> red </e1> house </e2> it was then",
        "昨天 <e1> 小 明 </e1> 去了 <e2> 北京 </e2> 两三天",
    ],
)
def test_mentions_and_markers_stay(text) -> None:
    for seed in range(30):
        table, _ = RelationExtraction().task.varied(texts(text), [0], WILD, seed)
        assert mentions(table["text"][0]) == mentions(text)


def test_a_task_without_variants_says_so() -> None:
    assert "texts" not in QuestionAnswering.augmentable
    with pytest.raises(UserError, match=r"augmentation\.texts: QuestionTask has none"):
        QuestionAnswering().task.varied(texts("a"), [None], WILD, 0)


@pytest.mark.parametrize("task", [TextClassification, LinearProbe, MultiLabelClassification, TokenClassification])
def test_a_task_with_variants_can_be_asked(task) -> None:
    assert "texts" in task.augmentable
