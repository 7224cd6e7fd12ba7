"""The parts together: what a fit reads because of them, and what they add to its loss."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import lightning as L
import numpy as np
import pytest
import torch
from tiny import QUIET, command

from lit_react.augmentation.augmentation import Augmentation
from lit_react.augmentation.complementary import ComplementaryLabels
from lit_react.augmentation.contrastive import Contrastive
from lit_react.augmentation.features.base import View
from lit_react.augmentation.features.gan_bert import GanBert
from lit_react.augmentation.labels.base import GeneratedLabels, LabeledPool, LabelGenerator, Rows
from lit_react.augmentation.labels.self_training import SelfTraining
from lit_react.augmentation.preparation import Seen, under_present_weights
from lit_react.augmentation.texts import WordDropout
from lit_react.augmentation.trust import Trust
from lit_react.cli import main
from lit_react.core.errors import UserError
from lit_react.data.datamodule import PoolDataModule
from lit_react.data.fit_rows import FitRows
from lit_react.tasks import LinearProbe, QuestionAnswering, TextClassification


class Certain(LabelGenerator):
    """Says that every unlabeled row is of class 1; remembers what it was shown."""

    def _label(self, pool: LabeledPool, rows: Rows, seed: int) -> GeneratedLabels:
        self.pool = pool
        targets = np.zeros((len(rows), pool.num_classes), dtype=np.float32)
        targets[:, 1] = 1
        return GeneratedLabels(rows, targets, np.ones(len(rows), dtype=np.float32), {"said": 1.0})


@pytest.fixture
def data(news_csv: Path, tiny_bert: str) -> PoolDataModule:
    """Six labeled rows of the pool, twenty validation rows of which ten are of class 1 as it seems."""
    module = PoolDataModule(str(news_csv), validation_size=20, test_size=30)
    module.connect(TextClassification(tiny_bert, max_length=16))
    module.reveal("pool", {row: row // 2 % 2 for row in range(0, 12, 2)})
    module.reveal("validation", {row: int(row < 10) for row in range(20)})
    return module


def test_without_unlabeled_parts_a_fit_reads_the_labeled_rows_of_the_pool(data):
    rows = Augmentation(complementary=ComplementaryLabels()).begin(data, seed=0)
    assert rows.table is data.pool.table
    assert rows.labeled.tolist() == list(range(0, 12, 2))
    assert len(rows.unlabeled) == 0


@pytest.fixture
def begun(data, monkeypatch) -> Callable[[Augmentation], FitRows]:
    """Begins a fit, and has labels generated at once, by the embeddings of the pretrained weights."""

    def look(task, data, unlabeled):
        labeled, validation = data.pool.labeled_rows, data.validation_rows
        of_validation = task.embed(data.validation_split)[validation]
        seen = np.concatenate([data.embeddings[labeled], data.embeddings[unlabeled], of_validation])
        return Seen(labeled, unlabeled, validation, seen)

    monkeypatch.setattr("lit_react.augmentation.augmentation.under_present_weights", look)

    def begin(augmentation):
        rows = augmentation.begin(data, seed=0)
        augmentation.before_step(data.task, augmentation.trust.start)
        return rows

    return begin


def test_generated_labels_are_of_unlabeled_rows_of_the_pool(data, begun):
    rows = begun(Augmentation(labels=Certain()))
    np.testing.assert_array_equal(rows.unlabeled, data.pool.unlabeled_rows)
    assert rows.targets.shape == (len(rows.unlabeled), len(data.class_names))
    assert (rows.targets.argmax(1) == 1).all()
    assert (rows.weights == 1).all()


def test_the_generator_sees_validation_texts_as_unlabeled_rows_and_is_measured_on_them(data, begun):
    augmentation = Augmentation(labels=Certain())
    begun(augmentation)
    pool = augmentation.labels.pool
    assert len(pool.embeddings) == len(data.pool) + 20
    assert len(pool.rows) == len(pool.classes) == 6
    assert augmentation.trust.generator_accuracy == 0.5


def test_embeddings_classes_and_rows_belong_together(data, begun):
    augmentation = Augmentation(labels=Certain())
    begun(augmentation)
    pool, labeled = augmentation.labels.pool, data.pool.labeled_rows
    np.testing.assert_array_equal(pool.embeddings[pool.rows], data.embeddings[labeled])
    np.testing.assert_array_equal(pool.classes, [data.pool.labels[row] for row in labeled.tolist()])
    np.testing.assert_array_equal(
        pool.embeddings[pool.rows_to_label[:5]], data.embeddings[data.pool.unlabeled_rows[:5]]
    )
    np.testing.assert_array_equal(pool.embeddings[-20:], data.task.embed(data.validation_split))


def test_a_generator_is_shown_each_row_s_own_embedding(data):
    module, unlabeled = data.task.fresh(), data.pool.unlabeled_rows[::3]
    module.configure_model()
    module.trainer = L.Trainer(**QUIET)
    seen = under_present_weights(module, data, unlabeled)
    assert seen.labeled.tolist() == list(range(0, 12, 2))
    assert seen.unlabeled.tolist() == unlabeled.tolist()
    assert seen.validation.tolist() == list(range(20))
    parts = data.embeddings[seen.labeled], data.embeddings[unlabeled], data.task.embed(data.validation_split)
    np.testing.assert_allclose(seen.embeddings, np.concatenate(parts), atol=2e-3)


def test_a_large_pool_is_drawn_from(data, begun):
    augmentation = Augmentation(labels=Certain(), most_unlabeled=15)
    rows = begun(augmentation)
    assert len(augmentation.labels.pool.embeddings) == 6 + 15 + 20
    assert len(rows.unlabeled) == 15
    assert set(rows.unlabeled) <= set(data.pool.unlabeled_rows)


def test_labels_are_generated_when_it_is_time_to_and_once(data, begun):
    class Half(Certain):
        def generate(self, pool, seed):
            found = super().generate(pool, seed)
            return replace(found, rows=found.rows[::2], targets=found.targets[::2], weights=found.weights[::2])

    augmentation = Augmentation(labels=Half())
    rows = augmentation.begin(data, seed=0)
    augmentation.before_step(data.task, progress=0.3)
    assert not rows.weights.any()
    assert augmentation.trust.generator_accuracy is None
    augmentation.before_step(data.task, progress=0.4)
    given = augmentation.generated.rows
    assert 0 < len(given) < len(rows.unlabeled)
    np.testing.assert_array_equal(rows.weights > 0, np.isin(rows.unlabeled, given))
    first = augmentation.generated
    augmentation.before_step(data.task, progress=0.5)
    assert augmentation.generated is first, "once in a fit"


def test_weights_are_relative_to_each_other(begun):
    class Doubtful(Certain):
        def generate(self, pool, seed):
            found = super().generate(pool, seed)
            weights = np.where(np.arange(len(found.rows)) % 2, 0.0, np.linspace(0.01, 0.03, len(found.rows)))
            return replace(found, weights=weights.astype(np.float32))

    rows = begun(Augmentation(labels=Doubtful()))
    assert rows.weights[rows.weights > 0].mean() == pytest.approx(1, abs=0.05)
    assert (rows.weights == 0).any()


def test_variants_join_the_labeled_rows_with_their_labels(data):
    rows = Augmentation(texts=WordDropout(0.5), variants=2).begin(data, seed=0)
    assert len(rows.labeled) == len(rows.labels) == 18
    assert list(rows.labels) == [*rows.labels[:6]] * 3
    originals, variants = rows.table.lengths[:6], rows.table.lengths[6:12]
    assert (variants <= originals).all()
    assert (variants < originals).any()


def view(logits: torch.Tensor) -> View:
    return View(torch.zeros(len(logits), 4), logits)


def batch_of(labels: list[int], targets: torch.Tensor) -> dict:
    return {"labels": torch.tensor(labels), "targets": targets, "weights": torch.tensor([1.0, 0.5])}


def test_the_loss_of_generated_labels_by_hand(begun):
    augmentation = Augmentation(labels=Certain(), label_weight=2.0, trust=Trust("always", ramp=0))
    begun(augmentation)
    logits = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]], requires_grad=True)
    targets = torch.tensor([[0.0, 1.0], [0.5, 0.5]])
    logs = logits.log_softmax(1)
    by_hand = 2.0 * (-logs[1, 1] - 0.5 * (0.5 * logs[2, 0] + 0.5 * logs[2, 1])) / 2
    augmentation.trust.progress = 0.4
    found = augmentation.loss(view(logits), batch_of([0], targets), lambda made: made, progress=0.4)
    torch.testing.assert_close(found, by_hand)


def test_the_contrastive_loss_is_of_the_labeled_rows_of_all_processes() -> None:
    features, logits = torch.randn(5, 4, generator=torch.Generator().manual_seed(0)), torch.zeros(5, 2)
    labels, part = torch.tensor([0, 1, 0]), Contrastive(weight=2.0)
    augmentation = Augmentation(contrastive=part)  # two unlabeled rows follow the labeled ones
    for gather in (lambda rows: rows, lambda rows: torch.cat([rows, rows.flip(0)])):
        augmentation.begin_steps(4, 2, torch.device("cpu"), gather)
        found = augmentation.loss(View(features, logits), {"labels": labels}, lambda made: made, progress=0.4)
        torch.testing.assert_close(found, part.loss(gather(features[:3]), gather(labels)))
        assert found > 0


def test_generated_labels_wait_and_count_as_far_as_the_generator_is_better(data, begun):
    augmentation = Augmentation(labels=Certain())
    rows = begun(augmentation)  # its generator is right on half of the validation rows
    logits, batch = torch.zeros(3, 2), batch_of([0], torch.full((2, 2), 0.5))

    def loss(progress):
        augmentation.before_step(data.task, progress)
        return float(augmentation.loss(view(logits), batch, lambda made: made, progress))

    assert loss(0.5) == 0.0, "the model was not validated yet"
    losses = {}
    for accuracy in (0.4, 0.5, 0.56):
        augmentation.trust.model_accuracy = accuracy
        losses[accuracy] = loss(0.7)
    assert losses[0.56] == 0.0
    assert losses[0.5] == pytest.approx(0.5 * losses[0.4])
    assert losses[0.4] == pytest.approx(0.75 * np.log(2), rel=1e-5)
    augmentation.trust.model_accuracy = 0.4
    assert loss(0.5) == pytest.approx(losses[0.4] / 2), "they are half way to counting in full"
    assert rows.wanted()
    assert loss(0.39) == 0.0, "the bought labels come first"
    assert not rows.wanted(), "then the batches have no unlabeled rows"


def test_generated_labels_are_compared_with_gold_ones_where_there_are_some(data, begun):
    augmentation = Augmentation(labels=Certain())
    begun(augmentation)
    gold = [1 if row % 4 else 0 for row in range(len(data.pool))]
    measured = augmentation.report(gold, int)
    unlabeled = data.pool.unlabeled_rows
    assert measured["generated_accuracy"] == pytest.approx(np.mean([gold[row] for row in unlabeled]))
    assert measured["said"] == 1.0
    assert "generated_accuracy" not in augmentation.report([None] * len(data.pool), int)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unlabeled_size": 0}, r"augmentation\.unlabeled_size: 0"),
        ({"label_weight": -1.0}, r"augmentation\.label_weight: -1\.0"),
        ({"variants": 0}, r"augmentation\.variants: 0"),
        ({"most_unlabeled": 0}, r"augmentation\.most_unlabeled: 0"),
    ],
)
def test_options_that_make_no_sense_are_one_line(options, message):
    with pytest.raises(UserError, match=message):
        Augmentation(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"start": 1.0}, r"start: 1\.0"), ({"ramp": -1}, r"ramp: -1"), ({"margin": 0}, r"margin: 0")],
)
def test_trust_that_makes_no_sense_is_one_line(options, message):
    with pytest.raises(UserError, match=rf"augmentation\.trust\.{message}"):
        Trust(**options)


def test_a_task_refuses_parts_that_it_has_not():
    Augmentation(labels=SelfTraining(), features=GanBert()).check(TextClassification())
    Augmentation(texts=WordDropout()).check(LinearProbe())
    with pytest.raises(UserError, match=r"augmentation\.features: LinearProbe has no such part, it has texts"):
        Augmentation(features=GanBert()).check(LinearProbe())
    with pytest.raises(UserError, match=r"GanBert is for one process, 2 fit here"):
        Augmentation(features=GanBert()).check(TextClassification(), processes=2)
    with pytest.raises(UserError, match=r"augmentation\.texts: QuestionAnswering has no such part, it has none"):
        Augmentation(texts=WordDropout()).check(QuestionAnswering())


def test_trust_compares_on_the_same_rows_whatever_the_gate(begun):
    accuracies = set()
    for threshold in (0.0, 0.6, 1.0):
        augmentation = Augmentation(labels=SelfTraining(threshold=threshold))
        begun(augmentation)
        accuracies.add(augmentation.trust.generator_accuracy)
    assert len(accuracies) == 1


class Remembering(SelfTraining):
    """Remembers what it was shown."""

    shown: ClassVar[list[LabeledPool]] = []

    def generate(self, pool: LabeledPool, seed: int) -> GeneratedLabels:
        self.shown.append(pool)
        return super().generate(pool, seed)


def test_in_a_run_the_generator_reads_the_embeddings_of_the_model_as_it_is(data, news_csv, tiny_bert, tmp_path):
    Remembering.shown.clear()
    main(command(news_csv, tiny_bert, tmp_path, "--augmentation.labels=test_augmentation.Remembering"))
    pools = Remembering.shown
    assert [len(pool.rows) for pool in pools] == [8, 14, 20, 26], "once in each round"
    for pool in pools:
        assert len(pool.embeddings) == len(data.pool) + 20
        np.testing.assert_allclose(np.linalg.norm(pool.embeddings, axis=1), 1, atol=2e-3)
    labeled = data.embeddings @ data.embeddings.T
    assert not np.allclose(pools[0].embeddings[:8] @ pools[0].embeddings[:8].T, labeled[:8, :8], atol=0.05)


def test_variants_leave_no_file_and_are_read_all_the_same(data, tmp_path, monkeypatch):
    """Each round has other ones: their files would be as many as the rounds."""
    pool = data.pool  # in the cache
    monkeypatch.setenv("LIT_REACT_CACHE", str(tmp_path))
    rows = Augmentation(texts=WordDropout(0.5)).begin(data, seed=0)
    assert list(tmp_path.rglob("*")) == []
    batch, original = rows.table.batch(rows.labeled), pool.table.batch(pool.labeled_rows)
    assert len(batch["row"]) == 12
    length = original["input_ids"].shape[1]
    np.testing.assert_array_equal(batch["input_ids"][:6, :length], original["input_ids"])
    data.task.encode(data.splits.pool)
    assert len(list(tmp_path.rglob("tokens-*.arrow"))) == 1, "other tables are kept"
