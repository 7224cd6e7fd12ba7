"""The parts of the recommender against plain loops."""

import numpy as np
import pytest
import torch

from lit_react.applications.interactions import hold_out
from lit_react.applications.recommendation import ranking_metrics
from lit_react.applications.recommendation_page import page
from lit_react.applications.two_tower import LENGTH, NOTHING, Steps, TwoTower, newest_first

N = 9


@pytest.fixture
def model() -> TwoTower:
    """Random weights; the last item is one that nobody liked."""
    torch.manual_seed(0)
    made = TwoTower(torch.randn(N, 5), torch.tensor([*range(1, N), 0]))
    with torch.no_grad():
        for weight in made.parameters():
            weight.copy_(torch.randn_like(weight) / 4)
    return made.eval()


def test_steps_are_every_item_with_what_came_before_it_of_the_same_user():
    histories = [np.array([4, 1, 3]), np.array([], np.int64), np.arange(LENGTH + 5)]
    expected = [(history[:at], history[at]) for history in histories for at in range(len(history))]
    before, targets = Steps(histories).__getitems__(list(range(len(expected))))
    assert targets.tolist() == [target for _, target in expected]
    assert torch.equal(before, newest_first([history for history, _ in expected]))
    assert Steps(histories, last=True).__getitems__([0, 1])[1].tolist() == [3, LENGTH + 4]


def test_reasons_and_the_rest_sum_up_to_the_score(model):
    history, items = np.array([3, 0, 5]), np.array([1, 2, 8])
    added, popular = model.reasons(history, items)
    with torch.no_grad():
        vectors, _ = model.items((model.liked > 0).float())
        features = torch.tensor([np.log1p(3) / 4, model.popularity[history].mean()], dtype=torch.float32)
        rest = vectors @ model.user_features(features) + model.content_bias(model.features)[:, 0]
    total = added.sum(axis=1) + popular + rest.numpy()[items]
    np.testing.assert_allclose(total, model.scores([history])[0][items], rtol=1e-4)


def test_the_id_and_the_popularity_of_an_item_that_nobody_liked_count_for_nothing(model):
    before = model.scores([np.array([1, 2])])
    with torch.no_grad():
        model.identity.weight[-1] += 10
        model.popularity_weight += 1
    assert model.scores([np.array([1, 2])])[0, -1] == before[0, -1]


def test_what_lies_before_the_last_items_of_a_long_history_is_not_read(model):
    recent = np.tile(np.arange(N), 10)[-LENGTH:]
    assert np.array_equal(model.scores([recent]), model.scores([np.concatenate([[2, 2, 2], recent])]))


def test_an_empty_history_has_a_score_for_every_item(model):
    assert (newest_first([np.array([], np.int64)]) == NOTHING).all()
    assert np.isfinite(model.scores([np.array([], np.int64)])).all()


def test_validation_ranks_what_the_user_has_not_seen_among_items_that_somebody_liked(model):
    histories, targets = [np.array([7, 2]), np.array([5])], [4, 0]
    logged = {}
    model.log = lambda name, value, **_: logged.update({name: float(value)})
    with torch.no_grad():
        model.validation_step((newest_first(histories), torch.tensor(targets)), 0)
    liked = model.liked.numpy() > 0
    expected = ranking_metrics(model.scores(histories), [np.array([target]) for target in targets], liked)
    assert logged["val/ndcg"] == pytest.approx(expected[:, 0].mean())


def test_ranking_metrics_are_those_of_a_loop():
    generator = np.random.default_rng(0)
    scores = generator.normal(size=(6, 40))
    relevant = [generator.permutation(40)[:size] for size in (0, 1, 2, 5, 12, 30)]
    among = generator.random(40) < 0.8
    found = ranking_metrics(scores, relevant, among)
    assert np.isnan(found[0]).all()
    for row in range(1, 6):
        order = [item for item in np.argsort(-scores[row]) if among[item]]
        gain = sum(1 / np.log2(rank + 2) for rank, item in enumerate(order[:10]) if item in relevant[row])
        ideal = sum(1 / np.log2(rank + 2) for rank in range(min(10, len(relevant[row]))))
        hits = len({*order[:20]} & {*relevant[row]})
        assert found[row] == pytest.approx([gain / ideal, hits / len(relevant[row])])


def test_equal_scores_tell_nothing_of_the_order_of_the_file():
    scores = np.zeros((1, 1000), np.float32)
    assert ranking_metrics(scores, [np.arange(20)], np.ones(1000, bool))[0, 1] < 0.5


def test_cold_items_are_in_no_history_and_the_last_item_is_held_out():
    generator = np.random.default_rng(1)
    histories = [generator.permutation(50)[: generator.integers(1, 30)] for _ in range(30)]
    held_out = hold_out(histories, 50, 0.2, generator)
    assert held_out.cold.sum() == 10
    for user, history, last, new in zip(held_out.users, held_out.histories, held_out.last, held_out.new, strict=True):
        warm = histories[user][~held_out.cold[histories[user]]]
        assert np.array_equal(np.concatenate([history, last]), warm)
        assert set(new) == set(histories[user]) & set(np.flatnonzero(held_out.cold))


def test_what_is_shown_on_the_page_is_escaped():
    attack = '"><img src=x onerror=alert(1)>'
    made = page([attack, "b"], [(attack, np.array([0]), [])], 1, np.array([0]))
    assert "<img" not in made
    assert made.count("&lt;img") == 3
