"""What is allowed in a data set and seldom meant."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain

import datasets
import pyarrow as pa
import pyarrow.compute as pc

from lit_react.core.errors import UserError
from lit_react.data.cells import OPENING
from lit_react.data.classes import look
from lit_react.data.columns import is_list
from lit_react.data.tables import Source
from lit_react.data.task import Task

ENOUGH = 20
"""Labels from which on most classes should be there twice."""

UNKNOWN = frozenset({"nan", "none", "null", "nil", "na", "n/a", "#n/a", "<na>", "-", "?", "-1", "unknown", "unlabeled"})
"""What is written where a label is not known, in small letters."""

SEPARATORS = "|;,\t"
"""What is usually written between names."""


def warnings_of(splits: Source) -> list[str]:
    """A line for each: texts of validation and test that the pool has too, empty texts, labels that look like none.

    Nothing is said of texts where there is no column `text`.

    Raises:
        UserError: all texts of the pool are empty.
    """
    found = [*_of_names(splits.label_names or []), *_of_labels(splits)]
    if "text" not in splits.pool.column_names:
        return found
    given = {"validation": splits.validation, "test": splits.test}
    others = {name: pa.concat_arrays([*_texts(table)]) for name, table in given.items() if table is not None}
    shared: dict[str, list[pa.Array]] = {name: [] for name in others}
    empty, rows = 0, len(splits.pool)
    for texts in _texts(splits.pool):
        empty += _count(pc.equal(pc.utf8_trim_whitespace(texts), ""))
        for name, other in others.items():
            shared[name].append(texts.filter(pc.is_in(texts, value_set=other)))
    for name, other in others.items():
        if copies := _count(pc.is_in(other, value_set=pa.concat_arrays(shared[name]))):
            found.append(f"{copies} of {len(other)} {name} texts are in the pool too, which flatters what they measure")
    if empty == rows:
        raise UserError(f"all {empty} texts of the pool are empty: is data.text_column theirs?")
    if empty:
        found.append(f"{empty} of {rows} texts of the pool are empty: a label for one costs as much as another")
    return found


def missing_classes(splits: Source, task: Task) -> Iterator[str]:
    """A line for validation and test each, where a class has no row there: a metric says nothing of it."""
    for name, table in (("validation", splits.validation), ("test", splits.test)):
        labels = [] if table is None else table["label"][:]
        if not labels or None in labels:
            continue
        missing = [task.names[place] for place in sorted(set(range(len(task.names))) - task.classes_in(labels))]
        if missing and len(missing) < len(task.names):
            listed = ", ".join(missing[:5]) + (" …" if len(missing) > 5 else "")
            share = f"{len(missing)} of {len(task.names)} classes"
            yield f"{share} have no {name} row ({listed}): its metrics say nothing of them"


def _of_names(names: Sequence[str]) -> Iterator[str]:
    """Names that are seldom those of different classes."""
    alike: dict[str, str] = {}
    for name in names:
        if (other := alike.setdefault(unicodedata.normalize("NFKC", look(name)).casefold(), name)) != name:
            reason = "by their case only" if other.casefold() == name.casefold() else "hardly"
            yield f"labels {other!r} and {name!r} differ {reason}: they are two classes"
        if name.strip().casefold() in UNKNOWN:
            yield f"label {name!r} is a class, and nobody is asked about its rows: if it means unknown, leave it empty"
        if OPENING.match(name):
            yield f"label {name[:40]!r} looks like a list, and is the name of a class"
    for separator in SEPARATORS:
        parts = {part.strip() for name in names for part in name.split(separator)}
        if len(parts) < len(names):
            yield (
                f"{len(names)} labels are {len(parts)} when they are cut at {separator!r}: where texts have several "
                f"labels, --model MultiLabelClassification with --model.separator {separator!r}"
            )


def _of_labels(splits: Source) -> Iterator[str]:
    """What the pool's labels are seldom like."""
    labels = splits.pool.select_columns(["label"]).with_format("arrow")[:]["label"].drop_null()
    names = splits.label_names or []
    if pa.types.is_integer(labels.type) and len(labels) >= ENOUGH:
        sizes = pc.value_counts(labels).field("counts")
        once = _count(pc.equal(sizes, 1))
        if 2 * once > len(sizes):
            yield f"{once} of {len(sizes)} labels are there once in the pool: is data.label_column theirs?"
    if (
        is_list(labels.type)
        and pa.types.is_integer(labels.type.value_type)
        and "tokens" not in splits.pool.column_names
    ):
        counts = Counter(chain.from_iterable(labels.to_pylist()))
        for separator in SEPARATORS:
            holding = sum(count for place, count in counts.items() if separator in names[place])
            if 2 * holding > len(labels) and len(labels) >= ENOUGH:
                yield f"most labels have a {separator!r} in them: is model.separator theirs?"


def _texts(table: datasets.Dataset) -> Iterator[pa.Array]:
    """Strings [k] of some rows at a time; a large pool is copied nowhere as a whole."""
    yield pa.array([], pa.large_string())
    for rows in table.select_columns(["text"]).with_format("arrow").iter(batch_size=10_000):
        yield rows["text"].cast(pa.large_string()).combine_chunks()  # rows that were drawn are a chunk each


def _count(where: pa.Array) -> int:
    return pc.sum(where).as_py() or 0
