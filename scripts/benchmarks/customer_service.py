"""What labels of customers' questions bring customer service, beside BM25, the bare encoder and the nearest question.

    LIT_REACT_DATA=… python scripts/benchmarks/customer_service.py [--sets snips banking77] [--seeds 3]

An intent is an answer, known by its name alone; a label says which answer a question belongs to. Each seed draws a
pool of 1000 questions and 500 for test, and leaves out a tenth of the intents (one at least), whose test questions are
out of scope. SNIPS is in the shared data; Banking77 (PolyAI, CC-BY 4.0) is read where `$LIT_REACT_DATA/banking77` has
its train.csv and test.csv. Random labels and the nearest question (or name) are the plainest use of as many labels.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import product
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from lit_react import AcquisitionCallback, ActiveLearning, PoolDataModule, SentenceClassification
from lit_react.applications.customer_service import CustomerService, embedded
from lit_react.applications.faq import Entry
from lit_react.applications.retrieval import BM25
from lit_react.core.quiet import quiet
from lit_react.data.label_names import readable
from lit_react.tasks.text_classification import ClassificationTask

POOL, TEST, OUTSIDE, STEP, LABELS, COVERAGE = 1000, 500, 300, 50, (50, 100, 200), 0.8
COLUMNS = ("recall@1", "MRR", "AUROC out of scope", "wrong at 80 %", "answered", "right of these", "outside answered")


def questions(name: str, part: str) -> pd.DataFrame:
    """Columns `text` and `label`, a name."""
    root = Path(os.environ["LIT_REACT_DATA"]) / name
    if name == "snips":
        table = pd.read_parquet(root / f"{part}.parquet")
        return pd.DataFrame({"text": table["text"], "label": table.get("label_name", table["label"])})
    return pd.read_csv(root / f"{part}.csv").rename(columns={"category": "label"})


def figures(scores: NDArray, truth: NDArray) -> list[float]:
    """The first four columns, of scores [q, entries] and the entry of each question, -1 for none.

    Equal scores are in a random order: BM25 gives 0 to all that shares no word.
    """
    scores = scores + 1e-6 * np.random.default_rng(0).random(scores.shape)
    inside, best = truth >= 0, scores.max(axis=1)
    places = (scores[inside] > scores[inside, truth[inside]][:, None]).sum(axis=1)
    sure = np.argsort(-best[inside], kind="stable")[: round(COVERAGE * inside.sum())]
    wrong = 1 - (places[sure] == 0).mean()
    return [float((places == 0).mean()), float((1 / (places + 1)).mean()), roc_auc_score(inside, best), float(wrong)]


def served(service: CustomerService, texts: Sequence[str], truth: NDArray) -> list[float]:
    """All columns of the service."""
    number = {entry.label: at for at, entry in enumerate(service.entries)}
    scores, given = np.zeros((len(texts), len(number)), np.float32), []
    for start in range(0, len(texts), 100):
        for row, reply in enumerate(service.replies(texts[start : start + 100], top=len(number)), start):
            scores[row, [number[found.entry.label] for found in reply.found]] = [found.score for found in reply.found]
            given.append(reply.abstains is None)
    answered, inside = np.array(given), truth >= 0
    right = (scores.argmax(axis=1) == truth)[answered & inside].mean()
    return [*figures(scores, truth), *(float(x) for x in (answered[inside].mean(), right, answered[~inside].mean()))]


def cell(job: tuple[str, int]) -> dict[str, list[float]]:
    """Figures of each method, one set and seed."""
    quiet()
    datasets.disable_progress_bars()
    (name, seed), generator = job, np.random.default_rng(job[1])
    train, test = (questions(name, part) for part in ("train", "test"))
    intents = generator.permutation(sorted(test["label"].unique()))
    outside = intents[: max(len(intents) // 10, 1)].tolist()
    names = sorted(set(intents) - set(outside))
    pool = train[train["label"].isin(names)].sample(POOL, random_state=seed).reset_index(drop=True)
    asked = test[test["label"].isin(names)].sample(TEST, random_state=seed)
    strange = test[test["label"].isin(outside)]
    strange = strange.sample(min(OUTSIDE, len(strange)), random_state=seed)
    texts = [*asked["text"], *strange["text"]]
    truth = np.array([*(names.index(label) for label in asked["label"]), *[-1] * len(strange)])
    written = [readable(intent) for intent in names]
    embed = partial(embedded, ClassificationTask(max_length=64))
    queries, of_names = embed(texts), embed(written)
    entries = [Entry(text, intent, "", [text]) for text, intent in zip(written, names, strict=True)]
    found = {
        "BM25": figures(BM25(written).scores(texts), truth),
        "bare encoder": figures(queries @ of_names.T, truth),
        "service, 0": served(CustomerService(entries), texts, truth),
    }
    data = PoolDataModule(pool, label_names=names)
    model = SentenceClassification(max_length=64)
    trainer = {"enable_progress_bar": False, "accelerator": "cpu"}
    drawn = generator.permutation(POOL)
    with tempfile.TemporaryDirectory() as folder:
        for count in LABELS:
            rows = pool.iloc[drawn[:count]]
            owners = np.array([*range(len(names)), *(names.index(label) for label in rows["label"])])
            cosines = queries @ np.concatenate([of_names, embed(rows["text"].tolist())]).T
            nearest = np.stack([cosines[:, owners == entry].max(axis=1) for entry in range(len(names))], axis=1)
            found[f"random labels, nearest question, {count}"] = figures(nearest, truth)
            acquisition, place = AcquisitionCallback(query_size=STEP), Path(folder) / "run"
            run = ActiveLearning(data, model, acquisition, budget=count, folder=place, seed=seed, trainer=trainer).fit()
            assert len(run.pool_labels()) == count
            service = CustomerService(entries, run, accelerator="cpu")
            found[f"service, {count}"] = served(service, texts, truth)
        service.least = -np.inf
        found[f"service, {count}, without the rule of the pool's tenth"] = served(service, texts, truth)
    return found


def main() -> None:
    """Print a table for each set, means over seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=["snips", "banking77"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    there = [name for name in given.sets if (Path(os.environ["LIT_REACT_DATA"]) / name).is_dir()]
    for name in set(given.sets) - set(there):
        print(f"{name}: not below $LIT_REACT_DATA, left out")
    jobs = list(product(there, range(given.seeds)))
    with ProcessPoolExecutor(given.processes) as pool:
        results = dict(zip(jobs, pool.map(cell, jobs), strict=True))
    for name in there:
        print(f"\n| {name} | {' | '.join(COLUMNS)} |\n|---|{'---:|' * len(COLUMNS)}")
        for method in results[name, 0]:
            seeds = np.array([results[name, seed][method] for seed in range(given.seeds)])
            means = [f"{value:.3f}" for value in seeds.mean(axis=0)]
            print(f"| {method} | {' | '.join([*means, *[''] * (len(COLUMNS) - len(means))])} |")
        print(
            json.dumps(
                {method: [results[name, s][method][0] for s in range(given.seeds)] for method in results[name, 0]}
            )
        )


if __name__ == "__main__":
    main()
