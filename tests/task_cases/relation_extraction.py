"""110 sentences of business news with two marked mentions and one of five relations between them, tokens and offsets.

The verb tells the relation (who owns whom, what raises what), the order of the mentions its direction; in some
sentences nothing relates them. Mentions have one to three words, words stand before and after, and every tenth sentence
is longer than the window that the model reads. The model is a BERT of two layers with random weights.
"""

import json
import random
from pathlib import Path

from tiny import as_words, build_bert

THINGS = ["bank", "music company", "german firm", "club", "mobile phone giant", "league", "software group", "team"]
RELATIONS = {
    "Owner-Property(e1,e2)": ["{e1} has paid cash for {e2}", "{e1} took control of {e2}"],
    "Owner-Property(e2,e1)": ["{e1} was sold to {e2}", "{e1} is part of {e2}"],
    "Cause-Effect(e1,e2)": ["{e1} will boost {e2}", "the rise of {e1} could increase the profits of {e2}"],
    "Cause-Effect(e2,e1)": ["{e1} fell because of {e2}"],
    "Other": ["{e1} and {e2} said nothing", "{e1} is not {e2}"],
}
BEFORE = ["", "on friday", "analysts said that", "according to the report"]
AFTER = ["", "last year", "in london", "for the first time"]
LONG = "the market was strong and the country was ahead of the world in every month of the year and then"


def rows() -> list[dict]:
    """Always the same: `tokens`, `head_start`, `head_end`, `tail_start`, `tail_end`, `label`."""
    draw = random.Random(0)
    found = []
    for number in range(110):
        label = draw.choice(list(RELATIONS))
        parts = {"{e1}": draw.choice(THINGS).split(), "{e2}": draw.choice(THINGS).split()}
        sentence = [*draw.choice(BEFORE).split(), *draw.choice(RELATIONS[label]).split(), *draw.choice(AFTER).split()]
        tokens, places = LONG.split() if number % 10 == 0 else [], {}
        for word in sentence:
            words = parts.get(word, [word])
            places[word] = (len(tokens), len(tokens) + len(words))
            tokens += words
        (head_start, head_end), (tail_start, tail_end) = places["{e1}"], places["{e2}"]
        offsets = {"head_start": head_start, "head_end": head_end, "tail_start": tail_start, "tail_end": tail_end}
        found.append({"tokens": [*tokens, "."], **offsets, "label": label})
    return found


def options(folder: Path) -> list[str]:
    """Write data and model into `folder`; the options of a fit of seconds, with 4 rounds."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "news.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows()))
    settings = {
        "data.source": folder / "news.jsonl",
        "data.validation_size": 20,
        "data.test_size": 30,
        "data.initial_size": 16,
        "data.batch_size": 8,
        "model": "RelationExtraction",
        "model.pretrained": build_bert(folder / "bert", dropout=0.0),
        "model.max_length": 24,
        "model.optimizer": "torch.optim.AdamW",
        "model.optimizer.lr": 3e-3,
        "acquisition.query_size": 8,
        "rounds.budget": 60,
        "trainer.max_epochs": 10,
        "trainer.precision": "32-true",
    }
    return as_words(settings)
