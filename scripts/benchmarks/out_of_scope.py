"""How well likeness to bought rows tells texts that are out of scope: AUROC, and what `serve` would refuse.

    LIT_REACT_DATA=… python scripts/benchmarks/out_of_scope.py

SNIPS with each intent left out in turn; and news (AG News) against a model of questions (TREC). 100 rows are bought at
random; embeddings are those of the pretrained MiniLM.
"""

import os
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from lit_react.applications.abstention import Scope
from lit_react.tasks.text_classification import ClassificationTask

BOUGHT, SHOWN = 100, 500


def embedded(texts: pd.Series) -> np.ndarray:
    """Unit embeddings float32 [n, d]."""
    table = datasets.Dataset.from_dict({"text": texts.tolist()})
    return np.asarray(ClassificationTask(max_length=64).embed(table))


def told(bought: np.ndarray, inside: np.ndarray, outside: np.ndarray) -> list[float]:
    """AUROC, and the shares of both that are out of scope."""
    scope = Scope.of_rows(bought)
    assert scope is not None, "there are enough rows"
    found = [scope.similarity(rows) for rows in (inside, outside)]
    truth = np.repeat([1, 0], [len(inside), len(outside)])
    return [roc_auc_score(truth, np.concatenate(found)), *(float((rows < scope.threshold).mean()) for rows in found)]


def main() -> None:
    """Print a line each."""
    datasets.disable_progress_bars()
    root = Path(os.environ["LIT_REACT_DATA"])
    train, test = (pd.read_parquet(root / "snips" / f"{part}.parquet") for part in ("train", "test"))
    rows = {}
    for intent in sorted(test["label"].unique()):
        bought = train[train["label"] != intent].sample(BOUGHT, random_state=0)
        inside, outside = test[test["label"] != intent], test[test["label"] == intent]
        rows[f"SNIPS without {intent}"] = told(*(embedded(part["text"]) for part in (bought, inside, outside)))
    rows["SNIPS, mean"] = np.mean(list(rows.values()), axis=0).tolist()
    trec, questions = (pd.read_parquet(root / "trec6" / f"{part}.parquet") for part in ("train", "test"))
    news = pd.read_parquet(root / "ag_news" / "test.parquet").sample(SHOWN, random_state=0)
    parts = (trec.sample(BOUGHT, random_state=0), questions, news)
    rows["TREC, news"] = told(*(embedded(part["text"]) for part in parts))
    for name, (area, inside, outside) in rows.items():
        print(f"{name:<34} AUROC {area:.3f}  refused: {inside:.3f} of those inside, {outside:.3f} of those outside")


if __name__ == "__main__":
    main()
