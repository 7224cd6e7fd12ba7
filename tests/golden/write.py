"""Write what the code does now with the fixed cases: `python tests/golden/write.py`.

To be called only where a change of what is bought is meant. The diff of the JSON files then tells which cases changed.
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def write(folder: Path = HERE) -> None:
    """Write `picks.json`, `simulated.json` and `runs.json`: the results of `POOLS`, `SIMULATED` and `RUNS` by name.

    Args:
        folder: where the files go.
    """
    from golden.cases import POOLS, RUNS, SIMULATED, Place, picks
    from tiny import build_bert, write_news

    with tempfile.TemporaryDirectory() as name:
        here = Path(name)
        os.environ["LIT_REACT_CACHE"] = str(here / "cache")
        news, bert = write_news(here / "news.csv"), build_bert(here / "bert", dropout=0.1)
        runs = {run: tell(Place(here / run, news, bert)) for run, tell in RUNS.items()}
    found = {
        "picks": {pool: picks(pool) for pool in POOLS},
        "simulated": {case: tell() for case, tell in SIMULATED.items()},
        "runs": runs,
    }
    for file, content in found.items():
        (folder / f"{file}.json").write_text(_lines(content) + "\n", encoding="utf-8")


def _lines(content: Any, indent: str = "") -> str:
    """JSON with one line for each list of plain values, floats to 7 digits."""
    inner = indent + " "
    if isinstance(content, dict):
        parts = [f"{inner}{json.dumps(name)}: {_lines(value, inner)}" for name, value in content.items()]
        return "{\n" + ",\n".join(parts) + f"\n{indent}}}"
    if isinstance(content, list) and content and all(isinstance(part, list | dict) for part in content):
        flat = [json.dumps(_short(part), ensure_ascii=False) for part in content]
        return "[\n" + ",\n".join(inner + line for line in flat) + f"\n{indent}]"
    return json.dumps(_short(content), ensure_ascii=False)


def _short(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: _short(value) for name, value in content.items()}
    if isinstance(content, list):
        return [_short(part) for part in content]
    return float(f"{content:.7g}") if isinstance(content, float) else content


if __name__ == "__main__":
    os.environ["HF_HUB_OFFLINE"] = "1"  # huggingface_hub reads it when it is imported
    sys.path.insert(0, str(HERE.parent))
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
