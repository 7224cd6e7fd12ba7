"""110 news lines of 5 to 12 words with people, places and firms, BIO-tagged; some lines name nobody.

Names are of one or two words, of which some serve two types, so that the words beside them count. Types are of unequal
frequency. The columns are CoNLL's; the model is a BERT of two layers with random weights.
"""

import json
import random
from pathlib import Path

from tiny import as_words, save_bert

NAMES = {
    "PER": ["anna", "bob miller", "carla", "jordan smith", "eva lopez", "frank", "paris jones", "victoria"],
    "LOC": ["rome", "new york", "oslo", "jordan", "cape town", "victoria", "paris"],
    "ORG": ["acme", "jordan steel", "north bank", "ford"],
}
LINES = [
    "{PER} said on monday that prices in {LOC} rose",
    "shares of {ORG} fell in {LOC}",
    "{PER} won the match against {PER} in {LOC}",
    "{ORG} hired {PER} as chief of its office in {LOC} last year",
    "the weather in {LOC} was cold",
    "{PER} and {PER} met in the north of {LOC}",
    "nobody knows what the market will do next week",
    "prices rose again on friday , said {PER}",
    "it was a cold day for the bank",
]
ROWS = 110


def options(folder: Path) -> list[str]:
    """Write data and model into `folder`; the options of a fit of seconds, with 4 rounds."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = _rows()
    (folder / "news.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    save_bert(folder / "bert", sorted({word for row in rows for word in row["tokens"]}), dropout=0.1)
    settings = {
        "data.source": folder / "news.jsonl",
        "data.test_size": 24,
        "data.validation_size": 16,
        "data.initial_size": 16,
        "data.batch_size": 8,
        "data.cost": "ConstantCost",
        "model": "TokenClassification",
        "model.pretrained": folder / "bert",
        "model.max_length": 24,
        "model.optimizer": "torch.optim.AdamW",
        "model.optimizer.lr": 5e-3,
        "acquisition.query_size": 8,
        "rounds.budget": 56,
        "trainer.max_epochs": 10,
        "trainer.precision": "32-true",
    }
    return as_words(settings)


def _rows() -> list[dict]:
    draw = random.Random(0)
    rows = []
    for _ in range(ROWS):
        tokens: list[str] = []
        tags: list[str] = []
        for word in draw.choice(LINES).split():
            kind = word.strip("{}")
            name = draw.choice(NAMES[kind]).split() if kind in NAMES else [word]
            tokens += name
            tags += [f"B-{kind}", *[f"I-{kind}"] * (len(name) - 1)] if kind in NAMES else ["O"]
        rows.append({"tokens": tokens, "ner_tags": tags})
    return rows
