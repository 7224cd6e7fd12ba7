"""Reports of three sentences on a match; the summary says who beat whom, in one or two ways.

90 reports in a JSON file, columns `document`, `summary` and `references`, every third with a second reference; the
budget counts the tokens of the documents. The winner may be named first or last, so that copying the first words
is no summary. A run of this size learns the summary's form and often one of the teams.
"""

import json
import random
from pathlib import Path

from tiny import as_words
from tiny_seq2seq import build_t5

TEAMS = ("Leeds", "Porto", "Ajax", "Basel", "Turin", "Lyon")
WEATHER = ("Rain fell all evening .", "The sun shone on the ground .", "A cold wind blew .")
CROWD = ("Many came to see it .", "Few seats were taken .")


def options(folder: Path) -> list[str]:
    """Write data and model into a folder; the options of a fit of four rounds."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = _reports(90)
    data = folder / "reports.jsonl"
    data.write_text("\n".join(json.dumps(row) for row in rows) + "\n", encoding="utf-8")
    texts = [text for row in rows for text in (row["document"], row["summary"], *row["references"])]
    settings = {
        "data.source": data,
        "data.validation_size": 12,
        "data.test_size": 15,
        "data.initial_size": 12,
        "data.batch_size": 6,
        "model": "Summarization",
        "model.pretrained": build_t5(folder / "t5", texts),
        "model.max_length": 24,
        "model.max_target_length": 12,
        "model.num_beams": 2,
        "model.optimizer": "torch.optim.AdamW",
        "model.optimizer.lr": 0.01,
        "acquisition.query_size": 6,
        "rounds.budget": 700,
        "trainer.max_epochs": 6,
        "trainer.precision": "32-true",
    }
    return as_words(settings)


def _reports(count: int) -> list[dict[str, object]]:
    chance = random.Random(0)
    rows: list[dict[str, object]] = []
    for index in range(count):
        winner, loser = chance.sample(TEAMS, 2)
        result = chance.choice([f"{winner} won against {loser} .", f"{loser} lost against {winner} ."])
        sentences = [result, chance.choice(WEATHER), chance.choice(CROWD)]
        chance.shuffle(sentences)
        summary = f"{winner} beat {loser} ."
        further = [f"A win for {winner} ."] if index % 3 == 0 else []
        rows.append({"document": " ".join(sentences), "summary": summary, "references": [summary, *further]})
    return rows
