"""110 lines of news, each about none, one, two or three of four subjects, in the order of the subjects or another.

A subject shows in one of a few phrases; lines without one say that nothing happened. The rows are JSON lines with lists
of names, some of them empty. The model is a BERT of two layers with random weights.
"""

import json
import random
from pathlib import Path

from tiny import as_words, build_bert

PHRASES = {
    "economy": ["the bank cut interest rates", "shares fell", "prices rose", "profits of the firm"],
    "music": ["the band has a new album", "a song of the singer", "the music festival"],
    "politics": ["the prime minister", "the election in may", "the vote of the party"],
    "sport": ["the team won the match", "a goal for chelsea", "the coach and his players"],
}
NOTHING = ["it was a long day", "people said it was late", "there is nothing new"]
JOINTS = ["and", "while", "after", "as"]


def rows() -> list[dict]:
    """Always the same: `text` and `labels`."""
    draw = random.Random(0)
    found = []
    for _ in range(110):
        labels = draw.sample(list(PHRASES), draw.choice([0, 1, 1, 2, 2, 3]))
        phrases = [draw.choice(PHRASES[label]) for label in labels] or [draw.choice(NOTHING)]
        found.append({"text": f" {draw.choice(JOINTS)} ".join(phrases) + " .", "labels": labels})
    return found


def options(folder: Path) -> list[str]:
    """Write data and model into `folder`; the options of a fit of seconds, with 4 rounds; a text costs 4."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "news.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows()))
    settings = {
        "data.source": folder / "news.jsonl",
        "data.validation_size": 20,
        "data.test_size": 30,
        "data.initial_size": 16,
        "data.batch_size": 8,
        "model": "MultiLabelClassification",
        "model.pretrained": build_bert(folder / "bert", dropout=0.0),
        "model.max_length": 32,
        "model.optimizer": "torch.optim.AdamW",
        "model.optimizer.lr": 3e-3,
        "acquisition.query_size": 8,
        "rounds.budget": 4 * 60,
        "trainer.max_epochs": 10,
        "trainer.precision": "32-true",
    }
    return as_words(settings)
