"""CLUENER2020, named entities in Chinese news, as `configs/cluener2020.yaml` reads it: a tag for each character.

    python scripts/data/cluener2020.py --source cluener_public --folder data/cluener2020

`--source` is the unpacked release of https://github.com/CLUEbenchmark/CLUENER2020 with `train.json` and `dev.json`: in
each line `text`, and in `label` for each type the entities and the places of their first and last characters. Writes
`train.jsonl` and `validation.jsonl` with `tokens` and `ner_tags` (BIO). No hub copy that we know has tags.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from lit_react.core.files import write_lines

FILES = {"train.json": "train.jsonl", "dev.json": "validation.jsonl"}


def tagged(row: dict[str, Any]) -> dict[str, list[str]]:
    """Characters and their tags; where entities overlap, the one that begins first keeps its tags."""
    tokens, tags = list(row["text"]), ["O"] * len(row["text"])
    spans = [(*span, kind) for kind, found in row["label"].items() for places in found.values() for span in places]
    for first, last, kind in sorted(spans):
        if set(tags[first : last + 1]) == {"O"}:
            tags[first : last + 1] = [f"B-{kind}", *[f"I-{kind}"] * (last - first)]
    return {"tokens": tokens, "ner_tags": tags}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args()
    for name, made in FILES.items():
        lines = (options.source / name).read_text(encoding="utf-8").splitlines()
        rows = [tagged(json.loads(line)) for line in lines if line.strip()]
        write_lines(options.folder / made, rows)
        print(f"{len(rows)} rows: {options.folder / made}")


if __name__ == "__main__":
    main()
