"""30 short lives of 4 to 6 sentences with 4 questions each: where, what, who and when.

An answer is one to three words, of a kind that the question's first word tells; some have a second reference with an
article. The longer lives take two windows. The columns are SQuAD's; the model is a BERT of two layers with random
weights.
"""

import json
import random
from pathlib import Path

from tiny import as_words, save_bert
from transformers import BertForQuestionAnswering

PEOPLE = ["anna", "bob", "carla", "dan", "eva", "frank"]
FACTS = {
    "where did {name} live ?": ("{name} had a house in {answer} .", ["rome", "new york", "oslo", "cape town", "lima"]),
    "what did {name} sell ?": ("people bought {answer} at the shop .", ["tea", "old books", "fish", "very good bread"]),
    "who taught {name} ?": ("the teacher was {answer} of the north .", ["maria", "king john", "peter", "old helen"]),
    "when was {name} born ?": ("the birth was in {answer} or so .", ["may 1820", "june", "winter", "1905", "autumn"]),
}
FILLERS = ["nobody knows why .", "it was a long time ago .", "the days were cold and short in the north ."]
LIVES = 30


def options(folder: Path) -> list[str]:
    """Write data and model into `folder`; the options of a fit of seconds, with 4 rounds."""
    rows = _rows()
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "lives.jsonl").write_text(lines)
    words = {word for row in rows for word in f"{row['question']} {row['context']}".split()}
    save_bert(folder / "bert", sorted(words), dropout=0.0, model_class=BertForQuestionAnswering)
    settings = {
        "data.source": folder / "lives.jsonl",
        "data.test_size": 24,
        "data.validation_size": 16,
        "data.initial_size": 16,
        "data.batch_size": 8,
        "data.cost": "ConstantCost",
        "model": "QuestionAnswering",
        "model.pretrained": folder / "bert",
        "model.max_length": 52,
        "model.max_question_length": 8,
        "model.stride": 12,
        "model.max_answer_length": 4,
        "model.optimizer": "torch.optim.AdamW",
        "model.optimizer.lr": 5e-3,
        "acquisition.query_size": 8,
        "rounds.budget": 56,
        "trainer.max_epochs": 8,
        "trainer.precision": "32-true",
    }
    return as_words(settings)


def _rows() -> list[dict]:
    draw = random.Random(0)
    rows = []
    for life in range(LIVES):
        name, places = draw.choice(PEOPLE), {}
        sentences = [*FACTS, *draw.sample(FILLERS, life % 3)]
        draw.shuffle(sentences)
        context = f"this is {name} ."
        for part in sentences:
            template, answers = FACTS.get(part, (part, [""]))
            before, _, after = template.format(name=name, answer="|").partition("|")
            places[part] = (draw.choice(answers), len(context) + 1 + len(before))
            context += f" {before}{places[part][0]}{after}"
        for question in FACTS:
            answer, start = places[question]
            texts = [answer, f"the {answer}"] if question.startswith("what") else [answer]
            answers = {"text": texts, "answer_start": [start] * len(texts)}
            rows.append({"question": question.format(name=name), "context": context, "answers": answers})
    return rows
