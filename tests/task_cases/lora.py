"""A decoder fitted by low-rank adapters: 120 short orders of food, tools and clothes, one topic each.

A text is `please send <number> <things> to <place>`; the things tell the topic, each topic has six of them. The model
is a 2-layer Llama of width 32 with random weights and a word-level tokenizer.
"""

import csv
from pathlib import Path

import numpy as np
import torch
from tiny import as_words
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import LlamaConfig, LlamaModel, PreTrainedTokenizerFast

THINGS = {
    "food": ["apples", "breads", "cheeses", "lemons", "onions", "soups"],
    "tools": ["axes", "drills", "hammers", "nails", "pliers", "saws"],
    "clothes": ["coats", "gloves", "hats", "scarves", "shirts", "socks"],
}
NUMBERS = ["two", "five", "nine", "twenty"]
PLACES = ["berlin", "lima", "oslo", "quito"]
WORDS = ["please", "send", "to", *NUMBERS, *PLACES, *(thing for things in THINGS.values() for thing in things)]


def options(folder: Path) -> list[str]:
    """Write data and model; the options of a fit of 3 rounds."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_orders(folder / "orders.csv")
    build_llama(folder / "llama")
    settings = {
        "data.source": folder / "orders.csv",
        "data.validation_size": 24,
        "data.test_size": 24,
        "data.initial_size": 12,
        "data.batch_size": 6,
        "model": "TextClassification",
        "model.pretrained": folder / "llama",
        "model.max_length": 12,
        "model.lora.rank": 8,
        "model.optimizer": "torch.optim.AdamW",
        "model.optimizer.lr": 0.01,
        "acquisition.query_size": 8,
        "rounds.budget": 52,
        "trainer.max_epochs": 15,
        "trainer.precision": "32-true",
    }
    return as_words(settings)


def build_llama(folder: Path, dtype: torch.dtype = torch.float32) -> str:
    """Save the decoder, without a head, and its tokenizer; the weights are always the same."""
    ids = {word: number for number, word in enumerate(["<pad>", "<unk>", *WORDS])}
    words = Tokenizer(WordLevel(ids, unk_token="<unk>"))
    words.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", unk_token="<unk>").save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(ids),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.1,
        pad_token_id=0,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        LlamaModel(config).to(dtype).save_pretrained(folder)
    return str(folder)


def _write_orders(path: Path) -> None:
    rng = np.random.default_rng(0)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for number in range(120):
            topic = list(THINGS)[number % 3]
            thing = rng.choice(THINGS[topic])
            writer.writerow([f"please send {rng.choice(NUMBERS)} {thing} to {rng.choice(PLACES)}", topic])
