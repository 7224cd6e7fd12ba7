import json
import logging
import os
import signal
import sys
import time
from collections import Counter

import pandas as pd
import pytest
from chat_server import chat_server, completion, refusal, text_of
from processes import ended, start
from run_folders import purchases
from tiny import as_words, command

from lit_react.annotation.desk import Desk, place
from lit_react.annotation.language_model import LLM
from lit_react.annotation.ledger import Ledger, Query
from lit_react.annotation.oracles import Answer, Question
from lit_react.annotation.prompts import form_of
from lit_react.cli import main
from lit_react.core.errors import UserError
from lit_react.tasks.entities import tags_of

NAMES = ["sports", "politics"]
KEY = "sk-secret-0123456789"


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def parse_class(answer):
    if answer not in NAMES:
        raise ValueError(f"unknown label {answer!r}: expected one of {', '.join(NAMES)}")
    return NAMES.index(answer)


def question(row, text=None, round=0, split="pool", **shown):
    shown = {"text": text or f"text {row}", "labels": NAMES, **shown}
    return Question(f"{split}-{row}", round, shown, parse_class, write=NAMES.__getitem__)


def sports(request):
    return completion({"label": "sports"})


@pytest.fixture
def make_desk(tmp_path):
    """A desk with some answers on it: of question, annotator, label."""
    with Ledger(tmp_path / "ledger.sqlite", budget=100, fingerprint="data") as ledger:

        def make(*given):
            questions = {asked.id: asked for asked, _, _ in given}
            for asked in questions.values():
                ledger.ask(asked.round, [Query(*place(asked.id), 1.0, "initial")])
            desk = Desk(ledger, lambda split, row, *_: questions[f"{split}-{row}"], lambda *_: "", "people")
            desk.take([Answer(asked.id, label, annotator) for asked, annotator, label in given])
            return desk

        yield make


@pytest.fixture
def ask(tmp_path, make_desk):
    """Answers of a language model to questions; the folder of the run stays the same."""

    def ask(server, questions, desk=None, **options):
        oracle = LLM(server.url, "small-1", **{"retries": 0, "concurrency": 2} | options)
        oracle.open(tmp_path, desk or make_desk())
        return oracle.label(questions)

    return ask


def labels(answers):
    return {answer.id: answer.label for answer in answers}


def test_each_question_is_answered_with_confidence_and_cost_by_the_models_name(ask):
    with chat_server(sports) as server:
        answers = list(ask(server, [question(1), question(2)], price_per_million_input=2, price_per_million_output=8))
    assert labels(answers) == {"pool-1": "sports", "pool-2": "sports"}
    assert {answer.annotator for answer in answers} == {"small-1"}
    assert [answer.cost for answer in answers] == pytest.approx([(2 * 100 + 8 * 10) / 1e6] * 2)
    assert [answer.confidence for answer in answers] == pytest.approx([0.5, 0.5])
    assert all(answer.seconds > 0 and not answer.note for answer in answers)
    assert {request["authorization"] for request in server.requests} == {f"Bearer {KEY}"}
    assert all(r["model"] == "small-1" and r["temperature"] == 0 and r["logprobs"] for r in server.requests)


def test_an_answer_costs_what_its_question_does_where_no_price_is_given(ask):
    with chat_server(sports) as server:
        assert [answer.cost for answer in ask(server, [question(1)])] == [None]


def test_the_prompt_has_the_text_the_descriptions_the_instructions_and_examples_of_others(ask, make_desk):
    desk = make_desk(
        (question(7, "goal"), "people", "sports"),
        (question(8, "own"), "small-1", "sports"),
        (question(9, "vote"), "people", "politics"),
        (question(6, "skipped"), "people", None),
        (question(10, "second goal"), "people", "sports"),
        (question(11, "of this round", round=1), "people", "sports"),
        (question(3, "held out", split="validation"), "people", "sports"),
    )
    asked = question(1, 'the "cup"', round=1, source={"author": "me"}, descriptions={"sports": ["games", "play"]})
    with chat_server(sports) as server:
        list(ask(server, [asked], desk, instructions="Doubtful is politics.", examples=3))
    first, *turns = server.requests[0]["messages"]
    assert '- "sports": games; play\n- "politics"' in first["content"]
    assert "Doubtful is politics." in first["content"]
    assert [json.loads(turn["content"]) for turn in turns] == [
        *[{"text": "goal"}, {"label": "sports"}],
        *[{"text": "vote"}, {"label": "politics"}],
        *[{"text": "second goal"}, {"label": "sports"}],
        {"text": 'the "cup"'},
    ]
    schema = server.requests[0]["response_format"]["json_schema"]["schema"]
    assert schema["properties"] == {"label": {"type": "string", "enum": NAMES}}


TOKENS = ["New", "York", "and", "York", "win", "."]
CITIES = [{"start": 0, "end": 2, "label": "CITY"}, {"start": 3, "end": 4, "label": "CITY"}]


@pytest.mark.parametrize(
    ("form", "shown", "parse", "said", "expected"),
    [
        ("classes", {"text": "a", "labels": NAMES}, list, {"labels": ["politics"]}, ["politics"]),
        ("class", {"text": "a of b", "head": "a", "tail": "b", "labels": ["of"]}, str, {"label": "of"}, "of"),
        ("span", {"text": "Who?", "context": "Ann came."}, lambda text: {"text": text}, {"answer": "Ann"}, "Ann"),
        ("text", {"text": "Guten Tag"}, str, {"answer": "Good day"}, "Good day"),
        (
            "spans",
            {"text": " ".join(TOKENS), "tokens": TOKENS, "labels": ["CITY"]},
            lambda answer: tags_of(answer, len(TOKENS), ["CITY"]) and answer,
            {"entities": [{"text": "New York", "label": "CITY"}, {"text": "York", "label": "CITY"}]},
            CITIES,
        ),
    ],
)
def test_every_form_of_answer_is_what_people_would_write_and_is_an_example_later(
    ask, make_desk, form, shown, parse, said, expected
):
    first, later = (Question(f"pool-{n}", n, shown, parse, form=form, write=lambda label: label) for n in (0, 1))
    with chat_server(lambda request: completion(said)) as server:
        assert labels(ask(server, [later], make_desk((first, "people", expected)))) == {"pool-1": expected}
    assert json.loads(server.requests[0]["messages"][2]["content"]) == said


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ([{"text": "ork", "label": "CITY"}], "'ork' is not in the text once more"),
        ([{"text": "York", "label": "CITY"}] * 3, "'York' is not in the text once more"),
        ([{"text": "New", "label": "ORG"}], "unknown label 'ORG'"),
        (["York"], "expected a list of"),
    ],
)
def test_entities_that_are_not_in_the_text_are_none(said, reason):
    shown = {"text": " ".join(TOKENS), "tokens": TOKENS, "labels": ["CITY"]}
    asked = Question("pool-1", 0, shown, lambda answer: tags_of(answer, len(TOKENS), ["CITY"]), form="spans")
    with pytest.raises(ValueError, match=reason):
        form_of(asked).read(json.dumps({"entities": said}), asked)


def test_the_longest_entity_has_its_place_first():
    shown = {"text": " ".join(TOKENS), "tokens": TOKENS, "labels": ["CITY"]}
    said = [{"text": "York", "label": "CITY"}, {"text": "New York", "label": "CITY"}]
    asked = Question("pool-1", 0, shown, list, form="spans")
    assert form_of(asked).read(json.dumps({"entities": said}), asked) == CITIES


def test_the_answer_is_found_behind_thoughts_and_in_a_fence(ask):
    said = '<think>{"label": "politics"}? No: {goal}.</think>\n```json\n{"label": "sports"}\n```'
    with chat_server(lambda request: completion(said)) as server:
        (answer,) = ask(server, [question(1)])
    assert (answer.label, answer.confidence) == ("sports", None)


def test_a_malformed_answer_is_asked_for_once_more_and_then_is_a_counted_skip(ask, caplog):
    def speak(request):
        again = request["messages"][-1]["content"].startswith("That is no answer: unknown label 'cup'")
        if text_of(request) == "text 1":
            return completion({"label": "sports" if again else "cup"})
        return completion("rubbish }{") if text_of(request) == "text 2" else sports(request)

    with chat_server(speak) as server, caplog.at_level(logging.INFO, "lit_react"):
        answers = list(ask(server, [question(row) for row in (2, 1, 3)], price_per_million_output=1))
    assert labels(answers) == {"pool-1": "sports", "pool-2": None, "pool-3": "sports"}
    assert {answer.id: answer.cost for answer in answers} == pytest.approx(
        {"pool-1": 20e-6, "pool-2": 20e-6, "pool-3": 10e-6}
    )
    assert sorted(server.texts) == ["text 1", "text 1", "text 2", "text 2", "text 3"]
    assert caplog.messages[-1] == (
        "LLM: 1 of 3 answers of small-1 are malformed and count as skips; "
        "the first: no JSON object with \"label\" in 'rubbish }{'"
    )


@pytest.mark.parametrize(
    "said", [completion("rubbish"), (200, {"content-type": "text/html"}, "<html>"), (200, {}, "{")]
)
def test_nothing_is_skipped_where_no_answer_ever_meant_anything(ask, said):
    answers = []
    with chat_server(lambda request: said) as server, pytest.raises(UserError, match="no answer that means anything"):
        answers.extend(ask(server, [question(1), question(2)]))
    assert answers == []


def test_the_most_frequent_of_several_votes_counts(ask):
    votes = iter(["politics", "sports", "sports", "cup", "cup"])
    with chat_server(lambda request: completion({"label": next(votes)})) as server:
        (answer,) = ask(server, [question(1)], votes=4, concurrency=1)
    assert (answer.label, answer.confidence) == ("sports", 0.5)
    assert server.requests[0]["temperature"] == 1


def test_what_an_endpoint_does_not_take_is_left_out(ask, caplog):
    def speak(request):
        if "response_format" in request:
            return refusal(400, "response_format json_schema is unavailable")
        return refusal(422, "extra fields") if "logprobs" in request else completion({"label": "sports"}, None)

    with chat_server(speak) as server, caplog.at_level(logging.INFO, "lit_react"):
        answers = list(ask(server, [question(row) for row in range(3)], concurrency=1))
    assert [(answer.label, answer.confidence) for answer in answers] == [("sports", None)] * 3
    assert len(server.requests) <= 6
    assert "does not take" in caplog.text


def test_a_text_that_the_endpoint_refuses_is_a_skip_that_says_why(ask):
    def speak(request):
        return refusal(400, f"content filter {KEY}") if text_of(request) == "text 1" else sports(request)

    with chat_server(speak) as server:
        answers = {answer.id: answer for answer in ask(server, [question(1), question(2)])}
    assert answers["pool-2"].label == "sports"
    assert answers["pool-1"].label is None
    assert "content filter …" in answers["pool-1"].note


def test_errors_and_limits_are_waited_for_as_long_as_the_endpoint_says(ask):
    troubles = iter(
        [refusal(429, "slow down", **{"retry-after": "0.3"}), refusal(500, "oops", **{"retry-after": "0.01"})]
    )
    start = time.monotonic()
    with chat_server(lambda request: next(troubles, None) or sports(request)) as server:
        assert labels(ask(server, [question(1)], retries=2)) == {"pool-1": "sports"}
    assert len(server.requests) == 3
    assert time.monotonic() - start > 0.3


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (lambda: refusal(500, "oops"), "500"),
        (lambda: refusal(401, f"wrong key {KEY}"), "wrong key …"),
        (lambda: refusal(404, "no such model"), "no such model"),
        (lambda: (302, {"location": "http://127.0.0.1:1/"}, ""), "302"),
        (lambda: time.sleep(1) or refusal(500, "late"), "timed out"),
    ],
)
def test_an_endpoint_that_fails_stops_the_run_and_loses_no_answer(ask, trouble, reason):
    """The same questions go on, and only those without an answer are asked again."""
    questions = [question(row) for row in range(4)]
    with chat_server(lambda request: sports(request) if text_of(request) == "text 0" else trouble()) as server:
        answers = []
        with pytest.raises(UserError, match="fails: ") as caught:
            answers.extend(ask(server, questions, concurrency=1, timeout=0.3))
        assert labels(answers) == {"pool-0": "sports"}
        assert reason in str(caught.value)
        assert KEY not in str(caught.value)
        assert "\n" not in str(caught.value)
        assert len(server.requests) == 2
        server.speak = sports
        assert len(labels(ask(server, questions))) == 4
        assert server.texts.count("text 0") == 1


def test_a_run_that_is_stopped_between_a_reply_and_the_ledger_pays_for_nothing_twice(ask):
    questions = [question(row, "the same text") for row in range(6)]
    with chat_server(sports) as server:
        answers = ask(server, questions)
        next(answers)
        answers.close()
        paid = len(server.requests)
        assert 1 <= paid < 6
        later = list(ask(server, questions, price_per_million_output=1))
        assert len(server.requests) == 6
        assert all(answer.cost == pytest.approx(10e-6) for answer in later)
        assert len(list(ask(server, questions, instructions="Now otherwise."))) == 6
        assert len(server.requests) == 12


def test_one_line_says_where_the_texts_go_and_no_line_or_file_has_the_key(ask, caplog, tmp_path):
    with chat_server(sports) as server, caplog.at_level(logging.DEBUG):
        list(ask(server, [question(1)]))
    host = server.url.split("/")[2]
    (line,) = [message for message in caplog.messages if "texts are sent" in message]
    assert line == f"LLM: texts are sent to {host} for small-1, with the key in OPENAI_API_KEY"
    assert KEY not in caplog.text
    assert not any(KEY.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base_url": "example.org/v1"}, "base_url: expected http"),
        ({"base_url": "https://me:secret@example.org/v1"}, "without a password"),
        ({"votes": 0}, "votes"),
        ({"timeout": 0}, "timeout"),
        ({"temperature": -1}, "temperature"),
        ({"api_key_env": "NO_SUCH_KEY"}, "api_key_env: the environment has no NO_SUCH_KEY"),
    ],
)
def test_a_wrong_option_is_named_before_anything_is_asked(tmp_path, make_desk, options, message):
    with pytest.raises(UserError, match=message):
        LLM(**{"base_url": "http://localhost/v1", "model": "m"} | options).open(tmp_path, make_desk())


def test_a_missing_client_is_told_with_its_extra(tmp_path, make_desk, monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(UserError, match=r"LLM: openai is not installed \(pip install -e '\.\[llm\]'\)"):
        LLM("http://localhost/v1", "m").open(tmp_path, make_desk())


def test_a_run_that_is_killed_goes_on_and_pays_for_no_answer_twice(news_csv, tiny_bert, tmp_path):
    gold = pd.read_csv(news_csv)
    gold[["text"]].head(40).to_csv(tmp_path / "texts.csv", index=False)
    names = dict(zip(gold["text"], gold["label"], strict=True))
    options = as_words(
        {
            "data.source": tmp_path / "texts.csv",
            "data.validation_size": 0,
            "data.test_size": 0,
            "data.label_names": json.dumps(sorted(set(gold["label"]))),
            "rounds.budget": 14,
            "rounds.oracle": "LLM",
            "rounds.oracle.model": "small-1",
            "rounds.oracle.concurrency": 1,
        }
    )
    run = tmp_path / "run"

    def speak(request):
        if len(server.requests) == 5:
            os.kill(process.pid, signal.SIGKILL)
        return completion({"label": names[text_of(request)]})

    with chat_server(speak) as server:
        arguments = command(news_csv, tiny_bert, run, *options, "--rounds.oracle.base_url", server.url)
        process = start(arguments)
        assert ended(process) == -signal.SIGKILL
        main(arguments)
    times = Counter(server.texts)
    assert len(times) == 14
    assert [text for text, count in times.items() if count > 1] == [server.texts[4]], "the one that had no reply"
    assert [entry["annotator"] for entry in purchases(run)] == ["small-1"] * 14
    assert not any(KEY.encode() in path.read_bytes() for path in run.rglob("*") if path.is_file())
