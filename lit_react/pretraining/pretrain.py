"""`pretrain`: continue or begin the pretraining of an encoder on texts without labels, for `fit` to start from."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import datasets
import lightning as L
import torch
from lightning.pytorch.loggers import Logger
from rich.console import Console
from transformers import BertConfig, PreTrainedModel, PreTrainedTokenizerBase

from lit_react.core.errors import UserError
from lit_react.core.files import put_in_place, write_json
from lit_react.core.processes import files_of_first, from_first, is_first_process, join, of_all, once_a_machine
from lit_react.core.quiet import quiet
from lit_react.core.same_work import check_same_making
from lit_react.core.version import __version__
from lit_react.core.wandb_logger import Wandb, wandb_logger
from lit_react.data.encoding import cache_folder, text_digest
from lit_react.pretraining import encoders
from lit_react.pretraining.corpus import Texts
from lit_react.pretraining.examples import Examples
from lit_react.pretraining.masking import Masking
from lit_react.pretraining.module import Pretraining
from lit_react.pretraining.options import Objective, Training, made_of
from lit_react.pretraining.passages import passages
from lit_react.pretraining.report import before_and_after, loss_curves
from lit_react.pretraining.training import checkpoint, new_trainer, run
from lit_react.tasks.pretrained import MINILM, load_tokenizer

CARD = "pretraining.json"


def pretrain(
    *,
    folder: Path,
    texts: Texts = Texts(),  # noqa: B008
    pretrained: str | None = MINILM,
    architecture: dict[str, Any] | None = None,
    lower_case: bool = True,
    objective: Objective = Objective(),  # noqa: B008
    training: Training = Training(),  # noqa: B008
    seed: int = 0,
    wandb: Wandb = Wandb(),  # noqa: B008
) -> None:
    """Pretrain an encoder on texts without labels; the same command again goes on where it was stopped.

    Processes that torchrun or srun has started share each batch and learn what one would, but for dropout and the order
    of sums; the first one writes the folder.

    Masked language modelling and next-sentence prediction, as BERT. Writes `model/`, which `fit` takes as
    `--model.pretrained FOLDER/model`, with a card, and `loss.png`.

    Args:
        folder: of the pretraining.
        texts: what is read.
        pretrained: continue from this: a folder, a hub name, or `package:NAME/FOLDER`; null: begin a new BERT.
        architecture: options of BertConfig, for a new BERT; `vocab_size` is that of its WordPiece tokenizer.
        lower_case: whether the new tokenizer does.
        objective: what is learned.
        training: how it is learned.
        seed: of everything but the choice of the texts.
        wandb: where the curves go.
    """
    if (pretrained is None) == (architecture is None):
        raise UserError("pretrained, architecture: expected one of them; a new BERT is pretrained: null")
    if pretrained is not None:
        encoders.check_objectives(pretrained, next_sentence=objective.next_sentence)
    config = encoders.bert_config(architecture or {})
    options = {"pretrained": pretrained, "architecture": architecture, "lower_case": lower_case, "seed": seed}
    begun = {"texts": asdict(texts), **options, **made_of(objective, training)}
    quiet()
    join(new_trainer(folder, training))
    if is_finished(folder, begun):
        return _show(folder, "finished")
    train, held_out = texts.load()
    torch.manual_seed(seed)  # of new weights
    if pretrained is None:
        tokenizer = _new_tokenizer(folder, train, config, lower_case)
        encoder = tokenizer, encoders.new_bert(config, tokenizer)
    else:
        encoder = encoders.pretrained_tokenizer(pretrained), encoders.pretrained_encoder(pretrained)
    logger = wandb_logger(wandb, folder)
    learn(folder, (train, held_out), encoder, objective, training, seed, begun, logger)
    if logger:
        logger.experiment.finish()
    return _show(folder)


def is_finished(folder: Path, begun: dict[str, Any]) -> bool:
    """Whether the first process has the model already; a `UserError` says that it is of another making."""

    def look() -> bool:
        if there := (folder / "model" / CARD).exists():
            check_same_making(folder / CARD, begun, "pretraining")
        return there

    return from_first(look)


def learn(
    folder: Path,
    texts: tuple[datasets.Dataset, datasets.Dataset],
    encoder: tuple[PreTrainedTokenizerBase, PreTrainedModel],
    objective: Objective,
    training: Training,
    seed: int,
    begun: dict[str, Any],
    logger: Logger | None = None,
) -> None:
    """Train an encoder on texts, or go on from the folder's checkpoint; writes `model/`, its card and `loss.png`.

    The texts are those to train on and those to measure on, column `text`; the encoder has the heads that the objective
    needs. The seed is that of batches, masks and dropout. `begun` is what decides the result beside the texts. All
    processes of the group call this; the first one writes.

    Raises:
        UserError: the folder is of another making, another process has other texts, or examples are longer than the
            model's positions.
    """
    (train, held_out), (tokenizer, model) = texts, encoder
    limit = encoders.position_limit(model, tokenizer)
    if objective.max_length > limit:
        raise UserError(f"objective.max_length: {objective.max_length} is more than the {limit} positions of the model")
    trainer = new_trainer(folder, training, logger)
    made_by = tokenizer, objective, trainer, training
    examples = once_a_machine(lambda: _examples(train, *made_by, (seed, 0), "the texts"))
    measured = once_a_machine(lambda: _examples(held_out, *made_by, (seed, 1), "held_out"))
    digest, measured_digest = map(text_digest, texts)
    if len(set(of_all((digest, measured_digest)))) > 1:
        raise UserError("texts: those on one machine are others than on the first one: expected the same files")

    def begin() -> None:
        if not checkpoint(folder).exists():
            (folder / CARD).unlink(missing_ok=True)  # nothing was learned yet under another configuration
        check_same_making(folder / CARD, begun | {"digest": digest}, "pretraining")

    from_first(begin)
    module = Pretraining(model, training, seed)
    run(trainer, folder, module, examples, measured)
    from_first(lambda: _publish(folder, module, tokenizer, begun | {"trained_on": len(train)}))


def _new_tokenizer(
    folder: Path, texts: datasets.Dataset, config: BertConfig, lower_case: bool
) -> PreTrainedTokenizerBase:
    """A new tokenizer is trained once, by the first process, and kept in the folder."""
    kept = folder / "tokenizer"

    def train() -> None:
        if checkpoint(folder).exists():
            return
        learned = encoders.train_tokenizer(
            (text for batch in texts.iter(batch_size=1000) for text in batch["text"]),
            vocab_size=config.vocab_size,
            lower_case=lower_case,
            max_length=config.max_position_embeddings,
        )
        shutil.rmtree(kept, ignore_errors=True)
        learned.save_pretrained(kept)

    from_first(train)
    with files_of_first(kept) as place:
        return load_tokenizer(str(place))


def _examples(
    texts: datasets.Dataset,
    tokenizer: PreTrainedTokenizerBase,
    objective: Objective,
    trainer: L.Trainer,
    training: Training,
    seed: tuple[int, int],
    name: str,
) -> Examples:
    """This process's rows of batches of texts, which errors call by this name; a `UserError`: no text, or no pair."""
    pairs = objective.next_sentence
    room = objective.max_length - tokenizer.num_special_tokens_to_add(pair=pairs)
    found = passages(texts, tokenizer, room=room, longest=room // 2 if pairs else room, cache=cache_folder())
    if found.counts.max(initial=0) < 1 + pairs:
        wanted = "a text of two sentences, which next_sentence asks for" if pairs else "a text"
        raise UserError(f"texts: {name}: expected {wanted}, found none")
    masking = Masking.of(tokenizer, share=objective.mask_share, whole_word=objective.whole_word)
    return Examples(
        found,
        tokenizer,
        masking,
        max_length=objective.max_length,
        next_sentence=pairs,
        batch_size=training.batch_size,
        seed=seed,
        rank=trainer.global_rank,
        world_size=trainer.world_size,
    )


def _publish(folder: Path, module: Pretraining, tokenizer: PreTrainedTokenizerBase, card: dict[str, Any]) -> None:
    """The picture; the model with its card, whole or not at all; then the checkpoint is not needed any more."""
    loss_curves(module.losses, module.validations, folder / "loss.png", title=str(folder))
    partial = folder / ".model.partial"
    shutil.rmtree(partial, ignore_errors=True)
    module.model.save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    measured = {"before": module.validations[0], "after": module.validations[-1], "validations": module.validations}
    command = shlex.join(["python", "-m", "lit_react", *sys.argv[1:]])
    write_json(partial / CARD, {"command": command, "version": __version__, **card, **measured})
    put_in_place(partial, folder / "model")
    checkpoint(folder).unlink(missing_ok=True)


def _show(folder: Path, state: str | None = None) -> None:
    if not is_first_process():
        return
    if state:
        print(f"{folder}: {state}")
    card = json.loads((folder / "model" / CARD).read_text())
    title = f"{folder}: {card['after']['step']} steps"
    Console().print(before_and_after(card["before"], card["after"], title))
    print(f"loss curves: {folder / 'loss.png'}\nmodel: {folder / 'model'}")
