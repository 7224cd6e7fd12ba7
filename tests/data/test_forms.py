"""All forms of files: the examples of docs/data.md, and tables of labels that come back as they were, or a refusal."""

import contextlib
import csv
import io
import json
import re
import shlex
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from lit_react import tasks
from lit_react.core.errors import UserError
from lit_react.data.cells import OPENING
from lit_react.data.datamodule import PoolDataModule

PAGE = Path("docs/data.md").read_text()
EXAMPLES = re.findall(r"^\*\*(.+?)\*\*(.*?)\n```(\w+)\n(.*?)```\nreads as (.*?)\n\n", PAGE, re.DOTALL | re.MULTILINE)


def labels_of(path, model="SentenceClassification", **options):
    """The labels that are read, by name, null where unknown."""
    prepared = PoolDataModule(str(path), **options).prepare(getattr(tasks, model)().task)
    names = prepared.class_names or []
    names = ["O", *(f"{side}-{name}" for name in names for side in "BI")] if model == "TokenClassification" else names
    named = lambda label: [names[i] for i in label] if isinstance(label, list) else names[label]  # noqa: E731
    return [label if label is None else named(label) for label in prepared.splits.pool["label"][:]]


@pytest.mark.parametrize(("options", "form", "text", "read"), [pytest.param(*e[1:], id=e[0]) for e in EXAMPLES])
def test_the_examples_of_the_page_are_read_as_it_says(tmp_path, options, form, text, read):
    assert len(text.splitlines()) == 3
    path = tmp_path / f"texts.{form}"
    path.write_text(text)
    words = iter(shlex.split("".join(re.findall(r"\(`(.*?)`\)", options))))
    given = {re.sub(r"--(data\.)?", "", name): yaml.safe_load(value) for name, value in zip(words, words, strict=True)}
    assert labels_of(path, **given) == [json.loads(label) for label in re.findall(r"`(.*?)`", read)]


def test_the_page_has_every_example():
    assert len(EXAMPLES) == PAGE.count("```") / 2 >= 16


# ---- what is written comes back, or is refused

TEXT = st.characters(codec="utf-8", exclude_characters="\0")
TRICKY = ["a", "b|c", "d, e", "nan", "-1", "0", "1", 'x"y', "f\tg", "\u00e9", "e\u0301", "g\nh"]
NAMES = (st.text(TEXT, min_size=1, max_size=6) | st.sampled_from(TRICKY)).filter(lambda name: not OPENING.match(name))
LABELS = st.lists(st.none() | NAMES, min_size=1, max_size=6)
ENCODINGS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32", "gb18030"])


def delimited(rows, delimiter):
    buffer = io.StringIO(newline="")
    csv.writer(buffer, delimiter=delimiter).writerows([["text", "label"], *rows])
    return buffer.getvalue()


TEXT_FORMS = {
    "d.csv": lambda rows: delimited(rows, ","),
    "d.tsv": lambda rows: delimited(rows, "\t"),
    "pandas.csv": lambda rows: pd.DataFrame(rows, columns=["text", "label"]).to_csv(quoting=csv.QUOTE_NONNUMERIC),
    "d.jsonl": lambda rows: "".join(json.dumps({"text": t, "label": v}) + "\n" for t, v in rows),
    "plain.jsonl": lambda rows: "\n".join(json.dumps({"text": t, "label": v}, ensure_ascii=False) for t, v in rows),
    "d.json": lambda rows: json.dumps([{"text": t, "label": v} for t, v in rows], indent=1),
}


def written(folder, name, rows, encoding):
    path = folder / name
    path.write_bytes(TEXT_FORMS[name](rows).encode(encoding))
    return path, ({"encoding": encoding} if encoding == "gb18030" else {})


def same_or_refused(expected, path, **options):
    with contextlib.suppress(UserError):
        assert labels_of(path, **options) == expected


@pytest.mark.parametrize("name", TEXT_FORMS)
@settings(max_examples=15, deadline=None)
@given(
    labels=st.lists(st.none() | NAMES.filter(lambda name: not OPENING.match(name)), min_size=1, max_size=6),
    encoding=ENCODINGS,
)
def test_classes_come_back_as_they_were_written(tmp_path_factory, name, labels, encoding):
    rows = [[f"text {n}\n", label] for n, label in enumerate(labels)]
    path, options = written(tmp_path_factory.mktemp("forms"), name, rows, encoding)
    same_or_refused([label if label and label.strip() else None for label in labels], path, **options)


def cell(form, names, pool):
    """A set as a form writes it."""
    if form == "zeros and ones":
        return [int(name in names) for name in pool]
    if form == "ids":
        return [pool.index(name) for name in names]
    return {
        "json": json.dumps(names), "python": repr(names), "choices": json.dumps({"choices": names}),
        "separator": "|".join(names) or "|", "lists": names, "numpy": str(pd.Series(names, dtype=object).to_numpy()),
        "comma": ",".join(names),
    }[form]  # fmt: skip


@pytest.mark.parametrize("form", ["json", "python", "choices", "separator", "lists", "zeros and ones", "ids", "numpy"])
@settings(max_examples=15, deadline=None)
@given(data=st.data(), encoding=ENCODINGS)
def test_sets_come_back_as_they_were_written(tmp_path_factory, form, data, encoding):
    plain = NAMES.filter(lambda name: name == name.strip() and "|" not in name)
    pool = data.draw(st.lists(plain, min_size=2, max_size=4, unique=True).map(sorted))
    sets = data.draw(st.lists(st.lists(st.sampled_from(pool), unique=True).map(sorted), min_size=1, max_size=5))
    rows = [[f"text {n}", cell(form, names, pool)] for n, names in enumerate(sets)]
    in_json = form in ("lists", "zeros and ones", "ids")
    name = data.draw(st.sampled_from([name for name in TEXT_FORMS if "json" in name or not in_json]))
    path, options = written(tmp_path_factory.mktemp("forms"), name, rows, encoding)
    same_or_refused(sets, path, model="MultiLabelClassification", label_column="label", label_names=pool, **options)


WORD = st.text(st.characters(categories=["L"]), min_size=1, max_size=4)


@settings(max_examples=15, deadline=None)
@given(words=st.lists(WORD, min_size=1, max_size=5), data=st.data())
def test_spans_come_back_as_tags_of_whole_words(tmp_path_factory, words, data):
    kinds = [data.draw(st.sampled_from(["", "A", "B"])) for _ in words]
    starts = [len(" ".join(words[:place])) + (place > 0) for place in range(len(words))]
    spans = [[start, start + len(word), kind] for start, word, kind in zip(starts, words, kinds, strict=True) if kind]
    path = tmp_path_factory.mktemp("forms") / "d.jsonl"
    path.write_text(json.dumps({"text": " ".join(words), "label": spans}))
    options = {
        "model": "TokenClassification",
        "text_column": "text",
        "label_column": "label",
        "label_names": ["A", "B"],
    }
    [tags] = labels_of(path, **options)
    assert [tag[2:] for tag in tags if tag.startswith("B")] == [kind for kind in kinds if kind]


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
)
@settings(max_examples=15, deadline=None)
@given(labels=LABELS)
def test_classes_in_parquet_come_back_in_every_type(tmp_path_factory, kind, labels):
    path = tmp_path_factory.mktemp("forms") / "d.parquet"
    column = pa.array(labels, pa.string()).cast(kind)
    pq.write_table(pa.table({"text": [f"text {n}" for n in range(len(labels))], "label": column}), path)
    same_or_refused([label if label and label.strip() else None for label in labels], path)
