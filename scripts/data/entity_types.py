"""A multi-label data set from one of named entities: which types of entities a sentence has, if any.

    python scripts/data/entity_types.py --folder data/conll2003_types \
        [--source hf:eriktks/conll2003@refs/convert/parquet --local_copy conll2003]

Writes `train.jsonl`, and `validation.jsonl` and `test.jsonl` where the source has them, with `text` (the tokens with
spaces between them) and `labels` (names of types, such as LOC and PER; empty where no entity is tagged). The labels are
as good as the tags; nobody judged the sentences for this question. A sentence that is there twice in a split is written
once. `configs/multi_label.yaml` reads the folder.
"""

import argparse
from pathlib import Path

import datasets
import pyarrow as pa

from lit_react.core.files import write_lines
from lit_react.data.sources import load_tables
from lit_react.data.tables import Split

FILES = {"pool": "train", "validation": "validation", "test": "test"}


def rows(split: Split, tokens: str, tags: str) -> list[dict]:
    schema = pa.schema([split.table.schema.field(tags)], split.table.schema.metadata)
    feature = getattr(datasets.Features.from_arrow_schema(schema)[tags], "feature", None)
    names = feature.names if isinstance(feature, datasets.ClassLabel) else None
    found: dict[str, dict] = {}
    for words, tagged in zip(split.table[tokens].to_pylist(), split.table[tags].to_pylist(), strict=True):
        tag_names = tagged if names is None else [names[tag] for tag in tagged]
        types = {tag.partition("-")[2] for tag in tag_names if "-" in tag}
        text = " ".join(words)
        found.setdefault(text, {"text": text, "labels": sorted(types)})
    return list(found.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--source", default="hf:eriktks/conll2003@refs/convert/parquet")
    parser.add_argument("--local_copy", default="conll2003")
    parser.add_argument("--tokens", default="tokens")
    parser.add_argument("--tags", default="ner_tags")
    options = parser.parse_args()
    tables, _ = load_tables(options.source, local_copy=options.local_copy)
    for name, split in tables.items():
        path = options.folder / f"{FILES[name]}.jsonl"
        written = rows(split, options.tokens, options.tags)
        write_lines(path, written)
        print(f"{len(written)} of {split.table.num_rows} rows: {path}")


if __name__ == "__main__":
    main()
