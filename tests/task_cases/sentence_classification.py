"""109 texts of the packaged news, read by the mean of their tokens, with generated labels.

The labels are two of the topics; the model is a BERT of two layers with random weights.
"""

import csv
from pathlib import Path

from tiny import as_words, bbc, build_bert


def options(folder: Path) -> list[str]:
    """Write data and model into `folder`; the options of a fit of seconds, with 4 rounds."""
    folder.mkdir(parents=True, exist_ok=True)
    pool, names = bbc().pool, bbc().label_names
    rows = [row for topic in (0, 1) for row in range(len(pool)) if pool["label"][row] == topic][::8][:110]
    with (folder / "news.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows([pool["text"][row][:120], names[pool["label"][row]]] for row in rows)
    settings = {
        "data.source": folder / "news.csv",
        "data.validation_size": 20,
        "data.test_size": 30,
        "data.initial_size": 10,
        "data.batch_size": 8,
        "model": "SentenceClassification",
        "model.pretrained": build_bert(folder / "bert", dropout=0.0),
        "model.max_length": 32,
        "model.optimizer": "torch.optim.AdamW",
        "model.optimizer.lr": 3e-3,
        "augmentation.labels": "SelfTraining",
        "augmentation.trust.start": 0,
        "acquisition.query_size": 6,
        "rounds.budget": 20 + 10 + 3 * 6,
        "trainer.max_epochs": 10,
        "trainer.precision": "32-true",
    }
    return as_words(settings)
