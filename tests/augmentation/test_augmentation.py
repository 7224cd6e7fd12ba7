"""The parts together: what a fit reads because of them, and what they add to its loss."""

from pathlib import Path
from typing import ClassVar

import lightning as L
import numpy as np
import pytest
import torch
from tiny import QUIET, command

from lit_react.augmentation.augmentation import Augmentation
from lit_react.augmentation.augmented_fit import AugmentedFit, Bought
from lit_react.augmentation.complementary import ComplementaryLabels
from lit_react.augmentation.contrastive import Contrastive
from lit_react.augmentation.gan_bert import GanBert
from lit_react.augmentation.labels import GeneratedLabels, LabeledPool, SelfTraining
from lit_react.augmentation.part import Part, View
from lit_react.augmentation.texts import WordDropout
from lit_react.augmentation.trust import Trust
from lit_react.cli import main
from lit_react.core.errors import UserError
from lit_react.data.datamodule import PoolDataModule
from lit_react.data.fit_data import FitLoaders
from lit_react.tasks import LinearProbe, QuestionAnswering, TextClassification


@pytest.fixture
def data(news_csv: Path, tiny_bert: str) -> PoolDataModule:
    """Six labeled rows of the pool, twenty validation rows."""
    module = PoolDataModule(str(news_csv), validation_size=20, test_size=30)
    module.connect(TextClassification(tiny_bert, max_length=16).task)
    module.reveal("pool", {row: row // 2 % 2 for row in range(0, 12, 2)})
    module.reveal("validation", {row: int(row < 10) for row in range(20)})
    return module


@pytest.fixture
def bought(data: PoolDataModule) -> Bought:
    return Bought(data.pool, data.fixed.splits.pool, data.fit_data.validation, len(data.fixed.class_names))


def begun(augmentation: Augmentation, bought: Bought, data: PoolDataModule, **options) -> AugmentedFit:
    return augmentation.begin(bought, data.task, 0, **options)


class Watching(Part):
    """Remembers what it was told; its loss is the mean of the logits of the unlabeled rows."""

    reads_unlabeled: ClassVar[bool] = True

    def before_step(self, progress, embed):
        self.seen = embed("pool", self.fit.unlabeled), embed("validation", self.fit.validation)

    def loss(self, step):
        self.step = step
        return step.unlabeled.logits.mean()


def test_without_unlabeled_parts_a_fit_reads_the_labeled_rows_of_the_pool(data, bought) -> None:
    rows = begun(Augmentation(complementary=ComplementaryLabels()), bought, data).rows
    assert rows.table is data.pool.table
    assert rows.labeled.tolist() == list(range(0, 12, 2))
    assert len(rows.unlabeled) == 0


@pytest.mark.parametrize(
    "part",
    [{"labels": SelfTraining()}, {"features": GanBert()}, {"parts": [Watching()]}],
    ids=lambda part: next(iter(part)),
)
def test_a_part_that_reads_unlabeled_rows_has_them_drawn(part, data, bought) -> None:
    np.testing.assert_array_equal(begun(Augmentation(**part), bought, data).rows.unlabeled, data.pool.unlabeled_rows)
    few = begun(Augmentation(**part, most_unlabeled=15), bought, data).rows.unlabeled
    assert len(few) == 15
    assert (np.diff(few) > 0).all()
    assert set(few) <= set(data.pool.unlabeled_rows)


def test_batches_have_unlabeled_rows_while_a_part_wants_them(data, bought) -> None:
    assert begun(Augmentation(features=GanBert()), bought, data).rows.wanted()
    fit = begun(Augmentation(labels=SelfTraining(), trust=Trust("always", start=0, ramp=0)), bought, data)
    fit.begin_steps(4, torch.device("cpu"))
    assert not fit.rows.wanted(), "nothing is generated yet"
    fit.before_step(0.0, lambda split, rows: np.eye(200, 5, dtype=np.float32)[rows % 5])
    assert fit.rows.wanted()


def test_each_fit_has_parts_of_its_own(data, bought) -> None:
    configured = Watching()
    augmentation = Augmentation(labels=SelfTraining(), parts=[configured])
    first, second = (begun(augmentation, bought, data) for _ in range(2))
    first.begin_steps(4, torch.device("cpu"))
    first.validated(0.5)
    assert not hasattr(configured, "fit")
    assert not hasattr(second.parts[1], "fit")
    assert first.pseudo_labels.trust is not second.pseudo_labels.trust
    follower = begun(augmentation, bought, data, after=first)
    assert follower.pseudo_labels.trust.is_lost, "measured in the first, and nothing was generated"


def test_a_part_is_told_what_was_bought(data, bought) -> None:
    fit = begun(Augmentation(parts=[Watching()]), bought, data)
    fit.begin_steps(7, torch.device("cpu"))
    told = fit.parts[0].fit
    assert told.labeled.tolist() == list(range(0, 12, 2))
    assert told.classes.tolist() == [data.pool.labels[row] for row in range(0, 12, 2)]
    assert told.validation.tolist() == list(range(20))
    assert told.validation_classes.tolist() == [1] * 10 + [0] * 10
    assert (told.num_classes, told.num_features, told.seed) == (4, 7, 0)


@pytest.mark.parametrize("texts", [None, WordDropout(0.5)], ids=["as they are", "with variants"])
def test_the_loss_of_a_step_is_the_sum_of_the_parts_which_know_where_its_rows_are(texts, data, bought) -> None:
    fit = begun(Augmentation(contrastive=Contrastive(), parts=[Watching()], texts=texts), bought, data)
    fit.begin_steps(4, torch.device("cpu"))
    rows = np.concatenate([fit.rows.labeled[:3], fit.rows.unlabeled[[5, 2]]])
    batch = {"row": torch.from_numpy(rows), "labels": torch.tensor([0, 1, 0])}
    view = View(torch.randn(5, 4), torch.randn(5, 2))
    found = fit.loss(view, batch, head=lambda made: made, gather=lambda rows: rows, progress=0.5)
    contrast = fit.parts[0].of_pairs(view.features[:3], batch["labels"])
    torch.testing.assert_close(found, contrast + view.logits[3:].mean())
    assert fit.parts[1].step.places.tolist() == [5, 2]


def test_the_contrastive_loss_is_of_the_labeled_rows_of_all_processes(data, bought) -> None:
    features, logits = torch.randn(5, 4, generator=torch.Generator().manual_seed(0)), torch.zeros(5, 2)
    batch = {"row": torch.arange(1, 6), "labels": torch.tensor([0, 1, 0])}  # two unlabeled rows follow
    fit = begun(Augmentation(contrastive=Contrastive(weight=2.0), parts=[Watching()]), bought, data)
    fit.begin_steps(4, torch.device("cpu"))
    for gather in (lambda rows: rows, lambda rows: torch.cat([rows, rows.flip(0)])):
        found = fit.loss(View(features, logits), batch, head=lambda made: made, gather=gather, progress=0.4)
        expected = fit.parts[0].of_pairs(gather(features[:3]), gather(batch["labels"]))
        torch.testing.assert_close(found, expected)
        assert found > 0


def test_the_model_in_a_fit_shows_each_row_s_own_embedding(data, bought, tiny_bert) -> None:
    fit = begun(Augmentation(parts=[Watching()], most_unlabeled=9), bought, data)
    module, loaders = TextClassification(tiny_bert).fresh(data.task, fit), FitLoaders(data.fit_data.reading(fit.rows))
    L.Trainer(**QUIET, max_steps=1, limit_val_batches=0, enable_checkpointing=False).fit(module, datamodule=loaders)
    seen_pool, seen_validation = fit.parts[0].seen
    assert seen_pool.dtype == np.float32
    np.testing.assert_allclose(seen_pool, data.fixed.embeddings[fit.unlabeled], atol=2e-3)
    np.testing.assert_allclose(seen_validation, data.task.embed(data.fixed.validation_split), atol=2e-3)


def test_variants_join_the_labeled_rows_with_their_labels(data, bought) -> None:
    rows = begun(Augmentation(texts=WordDropout(0.5), variants=2), bought, data).rows
    assert len(rows.labeled) == len(rows.labels) == 18
    assert list(rows.labels) == [*rows.labels[:6]] * 3
    originals, variants = rows.table.lengths[:6], rows.table.lengths[6:12]
    assert (variants <= originals).all()
    assert (variants < originals).any()


def test_variants_leave_no_file_and_are_read_all_the_same(data, bought, tmp_path, monkeypatch) -> None:
    """Each round has other ones: their files would be as many as the rounds."""
    pool = data.pool  # in the cache
    monkeypatch.setenv("LIT_REACT_CACHE", str(tmp_path))
    rows = begun(Augmentation(texts=WordDropout(0.5)), bought, data).rows
    assert list(tmp_path.rglob("*")) == []
    batch, original = rows.table.batch(rows.labeled), pool.table.batch(pool.labeled_rows)
    assert len(batch["row"]) == 12
    length = original["input_ids"].shape[1]
    np.testing.assert_array_equal(batch["input_ids"][:6, :length], original["input_ids"])
    data.task.encode(data.fixed.splits.pool)
    assert len(list(tmp_path.rglob("tokens-*.arrow"))) == 1, "other tables are kept"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unlabeled_size": 0}, r"augmentation\.unlabeled_size: 0 is too small, expected 1 or more"),
        ({"label_weight": -1.0}, r"augmentation\.label_weight: -1\.0 is too small, expected 0 or more"),
        ({"variants": 0}, r"augmentation\.variants: 0 is too small, expected 1 or more"),
        ({"most_unlabeled": 0}, r"augmentation\.most_unlabeled: 0 is too small, expected 1 or more"),
    ],
)
def test_options_that_make_no_sense_are_one_line(options, message) -> None:
    with pytest.raises(UserError, match=message):
        Augmentation(**options)


def test_a_model_refuses_parts_that_it_has_not() -> None:
    Augmentation(labels=SelfTraining(), features=GanBert(), parts=[Watching()]).check(TextClassification())
    Augmentation(texts=WordDropout()).check(LinearProbe())
    with pytest.raises(UserError, match=r"augmentation\.features: LinearProbe has no such part, it has texts"):
        Augmentation(features=GanBert()).check(LinearProbe())
    with pytest.raises(UserError, match=r"augmentation\.parts: LinearProbe has no such part, it has texts"):
        Augmentation(parts=[Watching()]).check(LinearProbe())
    with pytest.raises(UserError, match=r"GanBert is for one process, 2 fit here"):
        Augmentation(features=GanBert()).check(TextClassification(), processes=2)
    with pytest.raises(UserError, match=r"augmentation\.texts: QuestionAnswering has no such part, it has none"):
        Augmentation(texts=WordDropout()).check(QuestionAnswering())


class Remembering(SelfTraining):
    """Remembers what it was shown."""

    shown: ClassVar[list[LabeledPool]] = []

    def generate(self, pool: LabeledPool, seed: int) -> GeneratedLabels:
        self.shown.append(pool)
        return super().generate(pool, seed)


def test_in_a_run_the_generator_reads_the_embeddings_of_the_model_as_it_is(data, news_csv, tiny_bert, tmp_path) -> None:
    Remembering.shown.clear()
    main(command(news_csv, tiny_bert, tmp_path, "--augmentation.labels=test_augmentation.Remembering"))
    pools = Remembering.shown
    assert [len(pool.rows) for pool in pools] == [8, 14, 20, 26], "once in each round"
    for pool in pools:
        assert len(pool.embeddings) == len(data.pool) + 20
        np.testing.assert_allclose(np.linalg.norm(pool.embeddings, axis=1), 1, atol=2e-3)
    labeled = data.fixed.embeddings @ data.fixed.embeddings.T
    assert not np.allclose(pools[0].embeddings[:8] @ pools[0].embeddings[:8].T, labeled[:8, :8], atol=0.05)
