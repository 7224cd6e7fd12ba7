r"""A small encoder-decoder with random weights, for a machine that no hub is in reach of.

    python scripts/models/small_seq2seq.py --folder runs/models/multi30k --source hf:bentrevett/multi30k \
        --local_copy multi30k_en_de --text_column en

Writes a folder that `model.pretrained` can name: a T5 of some million weights, drawn by `--seed`, and a byte-level BPE
tokenizer. The tokenizer learns from the sources of the pool alone: the targets are labels that nobody has bought. Its
bytes write any target, in more tokens than one that knew the language would need.
"""

import argparse
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

from lit_react.data.sources import load_tables
from lit_react.data.text_pairs import read_pairs
from lit_react.tasks import Summarization, Translation
from lit_react.tasks.sequence_to_sequence import SequenceToSequence

TASKS: dict[str, type[SequenceToSequence]] = {"Summarization": Summarization, "Translation": Translation}
PAD, END = "<pad>", "</s>"


def train_tokenizer(texts: list[str], vocabulary: int) -> PreTrainedTokenizerFast:
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    bpe.post_processor = processors.TemplateProcessing(single=f"$A {END}", special_tokens=[(END, bpe.token_to_id(END))])
    return PreTrainedTokenizerFast(tokenizer_object=bpe, pad_token=PAD, eos_token=END)


def build_model(
    tokenizer: PreTrainedTokenizerFast, width: int, layers: int, dropout: float
) -> T5ForConditionalGeneration:
    """Heads of 32, feed-forward layers twice as wide as the model."""
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=width,
        d_kv=32,
        num_heads=width // 32,
        d_ff=2 * width,
        num_layers=layers,
        dropout_rate=dropout,
        feed_forward_proj="gated-gelu",
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    config.decoder_start_token_id = tokenizer.pad_token_id
    return T5ForConditionalGeneration(config)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--source", required=True, help="as data.source")
    parser.add_argument("--local_copy", help="as data.local_copy")
    parser.add_argument("--text_column", help="as data.text_column; that of the local copy is the task's")
    parser.add_argument("--task", choices=TASKS, default="Translation")
    parser.add_argument("--vocabulary", type=int, default=2000, help="tokens, 258 or more")
    parser.add_argument("--width", type=int, default=128, help="of the hidden states, a multiple of 32")
    parser.add_argument("--layers", type=int, default=2, help="of the encoder, and of the decoder")
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=0, help="of the weights")
    options = parser.parse_args()
    tables, is_local = load_tables(options.source, local_copy=options.local_copy)
    own = TASKS[options.task].task_class.text_column
    column = own if is_local else options.text_column or own
    pool = read_pairs({"pool": tables["pool"]}, column, "").pool
    tokenizer = train_tokenizer(pool["text"][:], options.vocabulary)
    torch.manual_seed(options.seed)
    model = build_model(tokenizer, options.width, options.layers, options.dropout)
    model.save_pretrained(options.folder)
    tokenizer.save_pretrained(options.folder)
    print(f"{options.folder}: {model.num_parameters() / 1e6:.1f} million weights, {len(tokenizer)} tokens")


if __name__ == "__main__":
    main()
