"""Sentences of a dozen words and their translation word by word, with the adjective behind its noun.

120 sentences "the old dog sees a green house ." in a JSON file, columns `source` and `target`; the budget counts the
tokens of the sources. A network of two layers learns which word stands for which within some hundred steps, the few of
this run teach it the frequent ones.
"""

import itertools
import json
import random
from pathlib import Path

from tiny import as_words
from tiny_seq2seq import build_t5

ARTICLES = {"the": "der", "a": "ein", "every": "jeder"}
ADJECTIVES = {"old": "alte", "green": "grüne", "small": "kleine", "": ""}
NOUNS = {"dog": "Hund", "house": "Haus", "tree": "Baum", "cat": "Katze", "boat": "Boot"}
VERBS = {"sees": "sieht", "seeks": "sucht", "leaves": "verlässt"}


def options(folder: Path) -> list[str]:
    """Write data and model into a folder; the options of a fit of four rounds."""
    folder.mkdir(parents=True, exist_ok=True)
    pairs = _sentences(120)
    data = folder / "sentences.jsonl"
    lines = [json.dumps({"source": source, "target": target}) for source, target in pairs]
    data.write_text("\n".join(lines) + "\n", encoding="utf-8")
    settings = {
        "data.source": data,
        "data.validation_size": 16,
        "data.test_size": 20,
        "data.initial_size": 16,
        "data.batch_size": 8,
        "model": "Translation",
        "model.pretrained": build_t5(folder / "t5", [text for pair in pairs for text in pair]),
        "model.max_length": 16,
        "model.max_target_length": 16,
        "model.optimizer": "torch.optim.AdamW",
        "model.optimizer.lr": 0.01,
        "acquisition.query_size": 8,
        "rounds.budget": 440,
        "trainer.max_epochs": 6,
        "trainer.precision": "32-true",
    }
    return as_words(settings)


def _sentences(count: int) -> list[tuple[str, str]]:
    """Different pairs, always the same ones."""
    phrases = [
        (" ".join(f"{article} {adjective} {noun}".split()), " ".join(f"{der} {Hund} {alte}".split()))
        for (article, der), (adjective, alte), (noun, Hund) in itertools.product(
            ARTICLES.items(), ADJECTIVES.items(), NOUNS.items()
        )
    ]
    every = [
        (f"{one[0]} {verb} {other[0]} .", f"{one[1]} {sieht} {other[1]} .")
        for one, (verb, sieht), other in itertools.product(phrases, VERBS.items(), phrases)
    ]
    return random.Random(0).sample(every, count)
