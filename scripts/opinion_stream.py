"""A stream to try `monitor` on: AG News texts, each after a sentence of Financial PhraseBank, and a surge in one topic.

    LIT_REACT_DATA=... python scripts/opinion_stream.py runs/posts.jsonl

For 18 days a post an hour and topic comes; on the 17th day posts on business with a negative sentence become many.
"""

from __future__ import annotations

import argparse
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

DAYS, SURGE, BEGIN = 18, 16, datetime(2024, 3, 1, tzinfo=UTC)


def main() -> None:
    """Write the posts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    file = parser.parse_args().file
    data, generator, rows = Path(os.environ["LIT_REACT_DATA"]), np.random.default_rng(0), []
    news = pd.read_parquet(data / "ag_news" / "test.parquet")
    sentences = pd.read_parquet(data / "financial_phrasebank" / "train.parquet")
    for hour in range(DAYS * 24):
        for topic, texts in news.groupby("label").text:
            extra = 3 if topic == 2 and hour >= SURGE * 24 else 0
            negative = sentences[sentences.label == 0].text
            of_hour = [sentences.text] * generator.poisson(1 + 0.5 * np.sin(hour / 12 * np.pi))
            for said in [*of_hour, *[negative] * generator.poisson(extra)]:
                time = BEGIN + timedelta(hours=hour, minutes=int(generator.integers(60)))
                text = f"{said.iloc[generator.integers(len(said))]} {texts.iloc[generator.integers(len(texts))]}"
                rows.append({"time": time.isoformat(), "text": text})
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in sorted(rows, key=lambda row: row["time"])))
    print(f"{file}: {len(rows)} posts")


if __name__ == "__main__":
    main()
