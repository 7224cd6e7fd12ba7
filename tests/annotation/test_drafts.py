"""A cheap annotator labels the pool first; people go over what is worth it, and their word stands."""

import numpy as np
import pandas as pd
import pytest
import torch
from chat_server import chat_server, completion
from tiny import ACCELERATOR, as_words, command

from lit_react import (
    AcquisitionCallback,
    ActiveLearning,
    Drafts,
    LabelsPending,
    LinearProbe,
    Oracle,
    PoolDataModule,
    UserError,
)
from lit_react.annotation.drafts import right_by_folds
from lit_react.annotation.ledger import Ledger
from lit_react.annotation.oracles import Answer
from lit_react.cli import main
from lit_react.core.wandb_logger import Wandb

GOLD: dict[str, str] = {}


class Expert(Oracle):
    """Knows every label; is nobody's draft."""

    answers_known = True

    def label(self, questions):
        return {question.id: GOLD[question.text] for question in questions}


class Machine(Oracle):
    """Takes everything for sports, skips a text in ten, and remembers what it was asked."""

    annotator = "machine"

    def __init__(self, fails_at: int | None = None) -> None:
        self.asked: list[str] = []
        self.fails_at = fails_at

    def label(self, questions):
        for number, question in enumerate(questions):
            if number == self.fails_at:
                raise UserError("the machine is down")
            self.asked.append(question.id)
            yield Answer(question.id, None if number % 10 == 9 else "sports", "machine")


@pytest.fixture
def make_run(tmp_path, news_csv, tiny_bert):
    GOLD.update(pd.read_csv(news_csv).set_index("text")["label"])

    def make(machine, oracle=None, budget=24.0, folder="run", query_size=6, **drafts) -> ActiveLearning:
        return ActiveLearning(
            PoolDataModule(news_csv, test_size=20, validation_size=0, initial_size=4),
            LinearProbe(tiny_bert, max_length=16),
            AcquisitionCallback(query_size=query_size),
            folder=tmp_path / folder,
            trainer={"accelerator": ACCELERATOR, "precision": "32-true", "max_epochs": 1},
            wandb=Wandb(mode="disabled"),
            budget=budget,
            oracle=oracle or Expert(),
            drafts=None if machine is None else Drafts(machine, **drafts),
        )

    return make


def test_drafts_are_learned_and_what_people_say_stands_over_them(make_run, tmp_path) -> None:
    machine = Machine()
    run = make_run(machine, price=0.01)
    result = run.fit()
    labels, rows = result.labels(), len(run.texts.pool)
    assert len(machine.asked) == len(set(machine.asked)) == rows - 4, "all but those that people were asked first"
    by_people = labels[labels["annotators"].str.contains("Expert")]
    drafts = labels[labels["annotators"] == "machine"]
    assert list(by_people["label"]) == [GOLD[text] for text in by_people["text"]]
    assert set(drafts["label"].dropna()) == {"sports"}
    assert (drafts["strategy"] == "draft").all()
    assert (by_people["strategy"] != "draft").all(), "drafts do not say why people were asked"
    assert result.rounds["labels"].iloc[-1] == len(by_people), "a draft is no label"
    assert (by_people["annotators"] == "machine, Expert").any(), "drafted texts are asked again"
    paid = result.answers().groupby("annotator")["cost"].sum()
    assert paid["Expert"] == len(by_people) == 22
    assert result.rounds["cost"].iloc[-1] == pytest.approx(paid.sum())
    assert paid.sum() <= 24


def test_a_run_that_was_stopped_buys_no_draft_twice(make_run, tmp_path) -> None:
    first = Machine(fails_at=30)
    with pytest.raises(UserError, match="the machine is down"):
        make_run(first).fit()
    second = Machine()
    result = make_run(second).fit()
    assert not set(first.asked) & set(second.asked)
    whole = make_run(Machine(), folder="unbroken").fit()
    assert len(result.answers()) == len(whole.answers())
    assert list(result.rounds["labels"]) == list(whole.rounds["labels"])


def test_people_do_not_see_drafts(make_run) -> None:
    class Curious(Expert):
        def open(self, folder, desk):
            self.desk = desk

        def label(self, questions):
            seen = self.desk.asked()
            assert {name for asked in seen for name in asked.answers} <= {"Curious"}
            assert {question.id for question in questions} == {each.question.id for each in seen if each.is_open}
            assert all(self.desk.find(question.id).is_open for question in questions)
            return super().label(questions)

    assert make_run(Machine(), Curious()).fit().stopped == "the budget of 24 is spent"


def test_a_text_that_people_cannot_label_keeps_no_draft(make_run) -> None:
    class Unsure(Expert):
        def label(self, questions):
            return [Answer(question.id, None) for question in questions]

    result = make_run(Machine(), Unsure(), budget=8.0, query_size=70).fit()
    assert result.stopped == "every row of the pool is labeled", "skips cost nothing"
    assert result.labels()["annotators"].str.contains("Unsure").all()
    assert result.labels()["label"].isna().all()


@pytest.mark.parametrize(("options", "most"), [({"price": 0.1}, 24), ({"most": 7}, 7), ({"price": 0, "most": 9}, 9)])
def test_drafts_cost_a_tenth_of_the_budget_or_what_one_says(make_run, tmp_path, options, most) -> None:
    machine = Machine()
    run = make_run(machine, **options)
    run.step()
    run.step()
    assert len(machine.asked) == most
    with Ledger(run.folder.ledger, budget=0, fingerprint=run.texts.fingerprint, read_only=True) as ledger:
        assert {query.row for query in ledger.asked() if query.policy == "draft"} == {
            int(name.removeprefix("pool-")) for name in machine.asked
        }


def test_drafts_that_cost_more_than_their_price_stay_within_their_share(make_run) -> None:
    class Dear(Machine):
        annotator = "machine"

        def label(self, questions):
            return [Answer(question.id, "sports", cost=0.5) for question in questions]

    result = make_run(Dear(), price=0).fit()
    paid = result.answers().groupby("annotator")["cost"].sum()
    assert paid["machine"] == pytest.approx(2.0), "a tenth of 24, and no half draft"
    assert paid.sum() <= 24


def test_a_drafter_that_leaves_texts_out_is_asked_for_them_again(make_run) -> None:
    class Lazy(Machine):
        annotator = "machine"

        def label(self, questions):
            return {question.id: "sports" for question in questions[:3]}

    with pytest.raises(LabelsPending, match=r"^machine left 1 drafts out; the same command asks again"):
        make_run(Lazy()).step()
    assert len(make_run(Machine()).fit().labels()) == 140


def test_who_drafts_does_not_label_and_keeps_the_name(make_run) -> None:
    class Namesake(Expert):
        annotator = "machine"

    class Other(Machine):
        annotator = "other"

    with pytest.raises(UserError, match=r"^rounds.drafts: 'machine' labels and drafts: expected two annotators"):
        make_run(Machine(), Namesake())
    make_run(Machine()).step()
    with pytest.raises(UserError, match=r"rounds.drafter = .?machine"):
        make_run(Other()).step()


def test_drafts_are_no_bought_labels(make_run) -> None:
    run = make_run(Machine())
    result = run.fit()
    people = result.labels().query("annotators.str.contains('Expert')")
    assert len(result.pool_labels()) == len(people) == 22
    drafted = result.labels().query("annotators == 'machine'")["id"].iloc[0]
    with pytest.raises(UserError, match="waits for no label"):
        run.answer({drafted: "sports"})
    assert not {drafted} & set(result.suspicious()["id"])


def test_labels_of_people_tell_harmful_drafts_from_good_ones() -> None:
    generator = np.random.default_rng(0)
    truth = np.arange(200) % 4
    embeddings = (np.eye(4)[truth] + generator.normal(scale=0.3, size=(200, 4))).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    drafted = np.arange(200) >= 40
    both, alone = right_by_folds(embeddings, truth, drafted, 4, weight=0.3)
    assert both >= alone > 20
    both, alone = right_by_folds(embeddings, np.where(drafted, (truth + 1) % 4, truth), drafted, 4, weight=0.3)
    assert both < 20 < alone


@pytest.mark.parametrize(("right", "left_out"), [((9, 9), False), ((9, 10), True)])
def test_a_fit_goes_without_drafts_that_do_harm(make_run, caplog, monkeypatch, right, left_out) -> None:
    caplog.set_level("INFO", logger="lit_react")
    monkeypatch.setattr("lit_react.run.harmful_drafts.right_by_folds", lambda *_: right)
    result = make_run(Machine(), budget=24.0).fit()
    lines = [record.getMessage() for record in caplog.records if record.getMessage().startswith("round ")]
    assert [" drafts" in line for line in lines] == [True, True, True, not left_out], "below 20 labels they stay"
    told = "this fit goes without drafts: of 22 labels of people, held out, 9 are told with and 10 without them"
    assert (told in caplog.text) is left_out
    assert result.rounds["labels"].iloc[-1] == 22, "people are asked as before"


def test_a_draft_weighs_less_than_a_label(make_run) -> None:
    light = make_run(Machine(), weight=1e-6, budget=4.5, folder="light").fit()
    none = make_run(None, budget=4.0, folder="none").fit()
    heavy = make_run(Machine(), weight=1.0, budget=4.5, folder="heavy").fit()
    texts = list(GOLD)[:20]
    told = [result.predict(texts) for result in (light, none, heavy)]
    of_sports = [np.array([each["probabilities"]["sports"] for each in of_run]) for of_run in told]
    assert of_sports[0] == pytest.approx(of_sports[1], abs=0.02)
    assert (of_sports[2] > of_sports[1] + 0.05).all()


def test_weights_of_labels_and_of_classes_multiply(tiny_bert) -> None:
    module, logits = LinearProbe(tiny_bert), torch.tensor([[2.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    labels, weight = torch.tensor([0, 0, 1]), torch.tensor([1.0, 0.5, 0.25])
    module._weight = torch.tensor([1.0, 4.0])
    losses = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    both = weight * torch.tensor([1.0, 1.0, 4.0])
    assert module._of_labels(logits, {"labels": labels, "weight": weight}) == pytest.approx(
        float((both * losses).sum() / both.sum())
    )


def test_a_language_model_drafts_from_the_command_line(news_csv, tiny_bert, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    options = as_words(
        {
            "data.validation_size": 0,
            "rounds.budget": 20,
            "rounds.drafts.annotator": "LLM",
            "rounds.drafts.annotator.model": "small-1",
            "rounds.drafts.most": 30,
        }
    )
    with chat_server(lambda request: completion({"label": "sports"})) as server:
        words = command(
            news_csv, tiny_bert, tmp_path / "run", *options, "--rounds.drafts.annotator.base_url", server.url
        )
        main(words)
        assert len(server.texts) == len(set(server.texts)) == 30
        main(words)
        assert len(server.texts) == 30, "the run has ended"
    main(["labels", str(tmp_path / "run"), "--output", str(tmp_path / "labels.csv")])
    labels = pd.read_csv(tmp_path / "labels.csv")
    drafts = labels[labels["annotators"] == "small-1"]
    assert set(drafts["label"]) == {"sports"}
    both = labels[labels["annotators"] == "small-1, gold"]
    gold = pd.read_csv(news_csv).set_index("text")["label"]
    assert list(both["label"]) == list(gold[both["text"]])
    assert len(drafts) + len(both) == 30
