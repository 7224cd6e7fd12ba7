"""Variants of rows: what holds for each part, and for parts one after the other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lit_react.augmentation.texts import Several, TextAugmentation, Varied, WordDropout, WordSwap
from lit_react.core.errors import UserError
from lit_react.data.words import split_words

RULES = {
    "dropout": WordDropout(0.3),
    "all dropped": WordDropout(1.0),
    "swap": WordSwap(0.5),
    "all swapped": WordSwap(1.0),
    "both": Several([WordDropout(0.3), WordSwap(0.5)]),
    "twice": Several([WordSwap(0.5), WordSwap(0.5), WordDropout(0.2)]),
}
ROWS = st.lists(
    st.lists(st.tuples(st.text(max_size=3), st.booleans()), max_size=12).map(
        lambda row: ([word for word, _ in row], [stays for _, stays in row])
    ),
    max_size=4,
)


def vary(part: TextAugmentation, words: list[str], *, kept: tuple[int, ...] = (), seed: int = 0) -> Varied:
    (found,) = part.vary([words], [[place in kept for place in range(len(words))]], seed)
    return found


@pytest.mark.parametrize("name", RULES)
@given(rows=ROWS, seed=st.integers(0, 2**40))
@settings(max_examples=25, deadline=None)
def test_variants_are_rearrangements_that_leave_what_stays(name, rows, seed) -> None:
    words, kept = [row for row, _ in rows], [stays for _, stays in rows]
    found = RULES[name].vary(words, kept, seed)
    for row, stays, one in zip(words, kept, found, strict=True):
        assert one.words == [row[source] for source in one.sources]
        assert len(set(one.sources)) == len(one.sources)
        assert [source for source in one.sources if stays[source]] == np.flatnonzero(stays).tolist()
        assert bool(one.words) == bool(row)
    assert RULES[name].vary(words, kept, seed) == found
    alone = [part for pair in zip(words, kept, strict=True) for part in RULES[name].vary(pair[:1], pair[1:], seed)]
    assert alone == found


@pytest.mark.parametrize("name", RULES)
def test_another_seed_gives_another_variant(name) -> None:
    words = [str(number) for number in range(20)]
    assert len({tuple(vary(RULES[name], words, seed=seed).words) for seed in range(10)}) > 5


@pytest.mark.parametrize("share", [0.05, 0.1, 0.5])
@pytest.mark.parametrize("length", [3, 12])
def test_the_share_of_dropped_and_of_moved_words_is_that_asked_for(share, length) -> None:
    words = [[f"{row}-{place}" for place in range(length + 2)] for row in range(2000)]
    kept = [[place in (1, 3) for place in range(length + 2)] for _ in words]
    dropped = [length + 2 - len(one.words) for one in WordDropout(share).vary(words, kept, 0)]
    assert np.mean(dropped) / length == pytest.approx(share, rel=0.15)
    moved = [np.sum(np.array(one.sources) != np.arange(length + 2)) for one in WordSwap(share).vary(words, kept, 0)]
    assert np.mean(moved) / length == pytest.approx(share, rel=0.15)


def test_a_swap_moves_every_chosen_word_and_keeps_all() -> None:
    words = list("abcdef")
    found = vary(WordSwap(1.0), words)
    assert sorted(found.words) == words
    assert all(new != old for new, old in zip(found.words, words, strict=True))


def test_one_word_is_left_where_all_would_go() -> None:
    left = {tuple(vary(WordDropout(1.0), list("abc"), seed=seed).words) for seed in range(40)}
    assert left == {("a",), ("b",), ("c",)}
    assert vary(WordDropout(1.0), list("abc"), kept=(1,)).words == ["b"]


def test_parts_in_a_row_draw_each_for_itself() -> None:
    twice = Several([WordSwap(0.2), WordSwap(0.2)])
    changed = [vary(twice, list("abcdef"), seed=seed).words != list("abcdef") for seed in range(400)]
    assert np.mean(changed) == pytest.approx(1 - 0.4**2, abs=0.08)  # 0.6 pairs on average, so 0.4 of the time none


def test_sources_lead_back_through_all_parts() -> None:
    class Double(TextAugmentation):
        def vary(self, words, kept, seed):
            return [Varied([w for w in row for _ in range(2)], np.repeat(range(len(row)), 2).tolist()) for row in words]

    found = vary(Several([Double(), WordSwap(1.0), Double()]), list("abcd"))
    assert len(found.words) == 16
    assert found.words == ["abcd"[source] for source in found.sources]


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1, float("nan")])
@pytest.mark.parametrize("part", [WordDropout, WordSwap])
def test_a_share_that_is_none_is_refused(part, share) -> None:
    with pytest.raises(UserError, match=rf"augmentation\.texts\.share: {share} is .*, expected more than 0, at most 1"):
        part(share)


def test_no_parts_are_refused() -> None:
    with pytest.raises(UserError, match=r"augmentation\.texts\.parts"):
        Several([])


@pytest.mark.parametrize(
    ("text", "words", "separator"),
    [
        ("The cat,  it\nsat.", ["The", "cat,", "it", "sat."], " "),
        ("我喜欢这部电影。", [*"我喜欢这部电影", "。"], ""),
        ("我用 iPhone 15 看电影，很好", ["我", "用 ", "iPhone ", "15 ", *"看电影", "，", *"很好"], ""),
        ("ネコがいる", list("ネコがいる"), ""),
        ("𠮷野家", list("𠮷野家"), ""),
        ("Beijing is 北京 in Chinese", ["Beijing", "is", "北京", "in", "Chinese"], " "),
        ("", [], ""),
    ],
)
def test_texts_are_split_where_their_script_has_words(text, words, separator) -> None:
    assert split_words(text) == (words, separator)


@given(st.text(st.sampled_from("ab 你好。 ー"), max_size=12) | st.text(max_size=12))
def test_a_text_comes_back_but_for_its_white_space(text) -> None:
    words, separator = split_words(text)
    assert separator.join(words) == (text.strip() if separator == "" else " ".join(text.split()))
    assert all(words)
