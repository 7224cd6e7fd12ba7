"""The page to label on: who may ask, what is shown, and that an answer is kept before the browser hears of it."""

import contextlib
import json
import logging
import re
import signal
import socket
import stat
import sys
import threading
import time

import pandas as pd
import pytest
from desks import ROWS, TEXTS, desk_of
from processes import ended, start
from run_folders import purchases
from tiny import command

from lit_react.annotation.answers import Given
from lit_react.annotation.ledger import Ledger
from lit_react.annotation.page import Page
from lit_react.annotation.page.board import Board
from lit_react.annotation.page.tokens import tokens_of
from lit_react.core.errors import UserError

pytest.importorskip("uvicorn", reason="the extra `page` is not installed")
httpx = pytest.importorskip("httpx")
client = pytest.importorskip("starlette.testclient", reason="the extra `page` is not installed, or httpx is missing")
from lit_react.annotation.page.server import STATIC, app_of  # noqa: E402

TASK, ROWS_OF_TOPICS = ROWS["topics"]


class Site:
    """The page of a run, and what a browser with an annotator's link sends."""

    def __init__(self, folder, desk, ledger, annotators=("ann", "bob"), host="127.0.0.1", suggestions=True):
        self.desk, self.ledger, self.board, self.tokens = desk, ledger, Board(desk), tokens_of(folder, annotators)
        self.board.begin([])
        self.client = client.TestClient(
            app_of(self.board, self.tokens, host, suggestions), base_url="http://localhost:80"
        )

    def headers(self, who):
        return {"authorization": f"Bearer {self.tokens[who]}"}

    def get(self, path, who="ann"):
        return self.client.get(f"/api/{path}", headers=self.headers(who))

    def question(self, who="ann"):
        return self.get("question", who).json()["question"]

    def send(self, id, label=None, who="ann", **more):
        return self.client.post("/api/answers", json={"id": id, "label": label, **more}, headers=self.headers(who))


@pytest.fixture
def make(tmp_path):
    made = []

    def make(host="127.0.0.1", suggestions=True, task=TASK, rows=ROWS_OF_TOPICS, **of_desk):
        made.append(Site(tmp_path, *desk_of(tmp_path, task, rows, **of_desk), host=host, suggestions=suggestions))
        return made[-1]

    yield make
    for site in made:
        site.ledger.close()


@pytest.fixture
def site(make):
    return make()


def committed(folder):
    with Ledger(folder / "ledger.sqlite", budget=0, fingerprint="data", read_only=True) as ledger:
        return ledger.answers()


# ---- who may ask ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer wrong", "Bearer ünsinn", "Basic {ann}", "Bearer {ann}x", "{ann}"]
)
@pytest.mark.parametrize("path", ["question", "answers"])
def test_without_the_token_of_an_annotator_nothing_is_told(site, path, header):
    headers = {"authorization": header.format(**site.tokens).encode()}
    answers = [site.client.get(f"/api/{path}", headers=headers)]
    answers.append(site.client.post("/api/answers", json={"id": "pool-0", "label": "tech"}, headers=headers))
    assert [answer.status_code for answer in answers] == [401, 401]
    assert all("link is not valid" in answer.json()["error"] for answer in answers)
    assert not site.desk.find("pool-0").answers


OURS = ["localhost:8017", "127.0.0.1:8017", "[::1]:8017", "192.168.1.20", "label.example"]
OTHERS = ["evil.example", "localhost.evil.example:8017", "", "127.0.0.1.evil.example"]


@pytest.mark.parametrize(("host", "status"), [*((host, 200) for host in OURS), *((host, 421) for host in OTHERS)])
def test_only_the_names_of_this_machine_are_answered(make, host, status):
    site = make(host="label.example")
    for path in ("/", "/api/question"):
        assert site.client.get(path, headers=site.headers("ann") | {"host": host}).status_code == status


def test_every_answer_forbids_frames_scripts_from_elsewhere_and_caches(site):
    for answer in (
        site.client.get("/"),
        site.client.get("/page.js"),
        site.get("question"),
        site.client.get("/x", headers={"host": "evil"}),
    ):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_page_is_whole_and_asks_nothing_of_others(site):
    page = site.client.get("/").text
    for name in re.findall(r'(?:src|href)="([^"]+)"', page):
        assert site.client.get(f"/{name}").status_code == 200
    everything = b" ".join(content for content, _ in STATIC.values()).decode()
    assert re.findall(r"https?://[^\s\"'`]+", everything) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"innerHTML|insertAdjacentHTML|outerHTML|document\.write|eval\(", everything)
    assert not re.search(r"<script(?![^>]*src)|\son\w+=", page)


def test_links_stay_valid_and_only_their_owner_reads_them(tmp_path):
    first = tokens_of(tmp_path, ["ann"])
    assert tokens_of(tmp_path, ["ann", "bob"])["ann"] == first["ann"]
    assert tokens_of(tmp_path, ["bob"]).keys() == {"bob"}
    (path,) = tmp_path.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    tokens_of(tmp_path, ["bob"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text("[")
    with pytest.raises(UserError, match=r"page_tokens.json: not a file of tokens"):
        tokens_of(tmp_path, ["bob"])


# ---- answers --------------------------------------------------------------------------------------------------------


def test_an_answer_is_on_the_disk_when_the_next_question_comes(site, tmp_path):
    asked = site.question()
    assert (asked["text"], asked["labels"], asked["form"]) == (TEXTS[0], TASK.names, "class")
    answer = site.send(asked["id"], "tech", seconds=2.5, note="maybe")
    (given,) = committed(tmp_path)["pool", 0]
    assert (given.annotator, given.label, given.seconds, given.note) == ("ann", 1, 2.5, "maybe")
    assert answer.json()["question"]["text"] == TEXTS[1]
    assert answer.json()["progress"] == {"wanted": 6, "answered": 1, "labels": 1, "pairs": 0, "agreeing": 0}


def test_undo_correction_and_skip(site):
    site.send("pool-0", "tech")
    site.send("pool-1", "sport")
    assert site.send("pool-1", undo=True).json()["question"]["id"] == "pool-1"
    assert not site.desk.find("pool-1").answers
    site.send("pool-1")
    site.send("pool-0", "sport", note="looked twice")
    kept = {id: site.desk.find(id).answers["ann"] for id in ("pool-0", "pool-1")}
    assert (kept["pool-0"].label, kept["pool-1"].label) == (0, None)
    told = [(each["id"], each["said"], each["note"]) for each in site.get("answers").json()]
    assert told == [("pool-0", "sport", "looked twice"), ("pool-1", None, "")]
    assert site.get("question?id=pool-0").json()["question"]["given"] == {"label": "sport", "note": "looked twice"}
    assert site.get("answers", "bob").json() == []
    assert site.get("question").json()["progress"]["labels"] == 1


@pytest.mark.parametrize(
    ("body", "kind", "status", "reason"),
    [
        (b'{"id": "pool-0", "label": "tech"}', "text/plain", 415, "application/json"),
        (b"id=pool-0&label=tech", "application/x-www-form-urlencoded", 415, "application/json"),
        (b'{"id": "pool-0"', "application/json", 400, "object with id and label"),
        (b"[1]", "application/json", 400, "object with id and label"),
        (b'{"id": "pool-0"}', "application/json", 400, "object with id and label"),
        (b'{"id": 0, "label": "tech"}', "application/json", 400, "object with id and label"),
        (b'{"id": "pool-0", "label": "tech", "seconds": NaN}', "application/json", 400, "note and seconds"),
        (b'{"id": "pool-0", "label": "tech", "seconds": 1e999}', "application/json", 400, "note and seconds"),
        (b'{"id": "pool-0", "label": "tech", "note": 1}', "application/json", 400, "note and seconds"),
        (b'{"id": "pool-0", "label": "weather"}', "application/json", 400, "unknown label 'weather': expected one of"),
        (b'{"id": "pool-0", "label": ["tech"]}', "application/json", 400, "unknown label"),
        (b'{"id": "pool-99", "label": "tech"}', "application/json", 400, "'pool-99' was not asked"),
        (b'{"id": "pool-0", "undo": true}', "application/json", 400, "was not answered"),
        (b"[" * 100_000, "application/json", 400, "object with id and label"),
        (b" " * 1_000_001, "application/json", 413, "1000000 bytes at most"),
    ],
)
def test_what_is_no_answer_is_refused_with_a_reason(site, body, kind, status, reason):
    answer = site.client.post("/api/answers", content=body, headers=site.headers("ann") | {"content-type": kind})
    assert answer.status_code == status
    assert reason in answer.json()["error"]
    assert not site.desk.find("pool-0").answers


def test_a_new_class_is_a_paid_skip_that_names_it(site):
    def look(name):
        return site.get(f"name?id=pool-0&name={name}").json()

    assert look("tehc") == {"known": None, "near": "tech"}
    assert look(" sport ")["known"] == "sport"
    assert look("weather") == {"known": None, "near": None}
    for wrong, reason in (("tech", "'tech' is a class already"), ("", "1 to 60"), ("a\x1b[1m", "1 to 60")):
        refused = site.send("pool-0", new_class=wrong)
        assert (refused.status_code, reason in refused.json()["error"]) == (400, True)
    told = site.send("pool-0", new_class=" the  weather", note="rain").json()
    assert told["new_classes"] == ["the weather"]
    assert "'the weather' (1 text). Add those that you want at the end of data.label_names" in told["advice"]
    given = site.desk.find("pool-0").answers["ann"]
    assert (given.label, given.note, given.new_class, given.cost) == (
        None,
        "new class: the weather\nrain",
        "the weather",
        1,
    )
    (said,) = site.get("answers").json()
    assert (said["said"], said["note"], said["label"]) == ("new class: the weather", "rain", None)
    assert site.send("pool-0", "tech").json()["advice"] == ""
    assert site.desk.find("pool-0").answers["ann"].cost == 0, "a correction"


def test_only_a_class_can_be_new(make):
    site = make(task=ROWS["sets"][0], rows=ROWS["sets"][1])
    refused = site.send("pool-0", new_class="weather")
    assert (refused.status_code, refused.json()["error"]) == (400, "this task has no classes that could be more")


def test_an_answer_that_cannot_be_kept_is_told_of(site):
    site.ledger.close()
    answer = site.send("pool-0", "tech")
    assert answer.status_code == 503
    assert answer.json()["error"].startswith("not saved: ")


@pytest.mark.parametrize(("suggestions", "shown"), [(True, [["tech", 0.7], ["sport", 0.3]]), (False, [])])
def test_suggestions_are_shown_unless_the_run_says_no(make, suggestions, shown):
    assert make(suggestions=suggestions, guess={"tech": 0.7, "sport": 0.3}).question()["suggestions"] == shown


# ---- several annotators ---------------------------------------------------------------------------------------------


def test_two_annotators_are_not_given_the_same_text(site):
    first, other = site.question("ann"), site.question("bob")
    assert [first["id"], other["id"]] == ["pool-0", "pool-1"]
    assert site.question("ann") == first
    assert site.send("pool-0", "tech").json()["question"]["id"] == "pool-2"


def test_a_text_whose_browser_has_gone_is_given_to_others(site, monkeypatch):
    assert site.question("ann")["id"] == "pool-0"
    monkeypatch.setattr("lit_react.annotation.page.board.AWAY", 0.0)
    assert site.question("bob")["id"] == "pool-0"
    site.send("pool-0", "tech", who="bob")
    late = site.send("pool-0", "sport", who="ann")
    assert (late.status_code, late.json()["error"]) == (409, "bob answered it meanwhile")
    assert site.desk.find("pool-0").answers.keys() == {"bob"}


def test_where_two_answers_are_wanted_both_give_one_and_agreement_is_told(make):
    site = make(wanted=2, asked=2)
    for row, labels in enumerate([("tech", "tech"), ("tech", "sport")]):
        for who, label in zip(("ann", "bob"), labels, strict=True):
            assert site.question(who)["id"] == f"pool-{row}"
            last = site.send(f"pool-{row}", label, who=who).json()
    assert last["progress"] == {"wanted": 4, "answered": 4, "labels": 2, "pairs": 2, "agreeing": 1}
    assert (last["question"], last["waiting"]) == (None, 0)


def test_before_the_first_query_there_is_nothing_to_do(make):
    told = make(asked=0).get("question").json()
    assert (told["question"], told["progress"]["labels"], told["progress"]["wanted"]) == (None, 0, 0)


def test_the_last_text_of_a_query_is_not_shown_to_whoever_is_left(make):
    site = make(asked=1)
    site.question("ann")
    told = site.get("question", "bob").json()
    assert (told["question"], told["waiting"]) == (None, 1)


# ---- tasks ----------------------------------------------------------------------------------------------------------

LABELS = {
    "topics": 2,
    "sets": [0, 2],
    "entities": [1, 2, 0, 0, 3, 0, 3, 4, 0],
    "relations": 1,
    "answers": {"start": 2, "text": "Oslo"},
    "summaries": "A final.",
}


@pytest.mark.parametrize("name", ROWS)
def test_an_answer_of_each_task_comes_back_as_it_was_given(make, name):
    task, rows = ROWS[name]
    site = make(task=task, rows=rows)
    answer = json.loads(json.dumps(task.answer(LABELS[name])))
    assert site.send("pool-0", answer).status_code == 200
    assert site.desk.find("pool-0").answers["ann"].label == LABELS[name]
    again = site.get("question?id=pool-0").json()["question"]
    assert again["given"]["label"] == answer
    assert re.search(rf"^  {again['form']}: {{ task", STATIC["widgets.js"][0].decode(), re.MULTILINE)


def test_other_columns_are_shown_as_text(make):
    class Ticket(type(TASK)):
        def question(self, row):
            return super().question(row) | {"hint": 7, "source": {"seen": float("nan"), "<b>": None}}

    site = make(task=Ticket(label_names=TASK.names))
    assert site.question()["others"] == {"hint": "7", "seen": "nan", "<b>": "None"}


# ---- the run --------------------------------------------------------------------------------------------------------


@pytest.fixture
def page():
    page = Page(port=0, annotators=["ann"])
    yield page
    page.close()


def test_the_run_waits_for_the_last_answer_and_the_page_tells_what_it_brought(page, tmp_path, capsys):
    desk, ledger = desk_of(tmp_path, TASK, ROWS_OF_TOPICS, asked=2)
    page.open(tmp_path, desk)
    assert re.fullmatch(rf"label at http://127.0.0.1:{page.port}/#[\w-]{{32}}\n", capsys.readouterr().out)
    assert page.board.progress()["learning"]
    entry = {"round": 0, "shown": ["accuracy", "macro_f1"], "labeled": 20, "metrics": {"val/estimate": 0.5}}
    (tmp_path / "result.json").write_text(json.dumps({"rounds": [entry]}))
    waits = threading.Thread(target=page.label, args=(desk.waiting(),))
    waits.start()
    while page.board.progress()["learning"]:
        waits.join(0.01)
    assert page.board.progress()["results"] == [
        {"round": 0, "labels": 20, "metric": "estimated accuracy", "value": 0.5}
    ]
    send(page, tmp_path, "pool-0", "tech")
    waits.join(0.05)
    assert waits.is_alive()
    send(page, tmp_path, "pool-1", "tech")
    waits.join(5)
    assert not waits.is_alive()
    assert page.board.progress()["learning"]
    page.open(tmp_path, desk)  # as each step of a notebook does
    send(page, tmp_path, "pool-1", "sport")
    assert desk.find("pool-1").answers["ann"].label == 0
    ledger.close()


def test_serving_leaves_the_log_handlers_of_the_process_alone(page, tmp_path):
    class Handler(logging.Handler):
        closed = False

        def close(self):
            self.closed = True
            super().close()

    handler = Handler()
    desk, ledger = desk_of(tmp_path, TASK, ROWS_OF_TOPICS, asked=2)
    page.open(tmp_path, desk)
    assert not handler.closed
    ledger.close()


def test_a_page_that_closes_says_how_the_run_ended_and_frees_its_port(page, tmp_path):
    desk, ledger = desk_of(tmp_path, TASK, ROWS_OF_TOPICS, asked=2)
    page.open(tmp_path, desk)
    headers, told = {"authorization": f"Bearer {tokens_of(tmp_path, ['ann'])['ann']}"}, []
    asks = threading.Thread(
        target=lambda: told.append(httpx.get(f"http://127.0.0.1:{page.port}/api/end", headers=headers, timeout=10))
    )
    asks.start()
    asks.join(0.3)
    assert asks.is_alive(), "the run goes on"
    entry = {"round": 0, "shown": ["accuracy"], "labeled": 20, "metrics": {"test/accuracy": 0.5}}
    (tmp_path / "result.json").write_text(json.dumps({"rounds": [entry]}))
    page.close("the budget is spent")
    asks.join(10)
    assert told[0].json()["outcome"] == "the budget is spent"
    assert told[0].json()["results"] == [{"round": 0, "labels": 20, "metric": "accuracy", "value": 0.5}]
    socket.create_server(("127.0.0.1", page.port)).close()
    page.open(tmp_path, desk)  # with a higher budget
    assert not page.board.closing
    ledger.close()


def send(page, folder, id, label):
    token = tokens_of(folder, page.annotators)["ann"]
    headers, body = {"authorization": f"Bearer {token}"}, {"id": id, "label": label}
    httpx.post(f"http://127.0.0.1:{page.port}/api/answers", json=body, headers=headers).raise_for_status()


def test_the_command_goes_on_after_a_kill_and_ends_on_a_signal(tmp_path, news_csv, tiny_bert):
    run, texts = tmp_path / "run", tmp_path / "texts.csv"
    pd.read_csv(news_csv)[["text"]].to_csv(texts, index=False)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    unlabeled = ["--data.label_names", "[a, b]", "--data.test_size", "0", "--data.validation_size", "0"]
    begin = ["label", *command(texts, tiny_bert, run)[1:], *unlabeled, "--rounds.oracle.port", port]
    go_on = ["label", "--config", str(run / "config.yaml")]  # which has the port
    for words, stop, code in ((begin, "kill", -signal.SIGKILL), (go_on, "terminate", 128 + signal.SIGTERM)):
        process = start(words)
        question, headers = asked_by(process, run, port)
        body = {"id": question["id"], "label": "a"}
        httpx.post(f"http://127.0.0.1:{port}/api/answers", json=body, headers=headers).raise_for_status()
        getattr(process, stop)()
        assert ended(process, within=30) == code
    assert [entry["annotator"] for entry in purchases(run) if entry["label"] is not None] == ["you", "you"]


def asked_by(process, run, port):
    """The question that a run asks once it waits, and the headers of its annotator."""
    while process.is_alive():
        time.sleep(0.05)
        if not (tokens := run / "page_tokens.json").exists():
            continue
        headers = {"authorization": f"Bearer {json.loads(tokens.read_text())['you']}"}
        with contextlib.suppress(httpx.TransportError):
            told = httpx.get(f"http://127.0.0.1:{port}/api/question", headers=headers).json()
            if not told["learning"]:
                return told["question"], headers
    raise AssertionError("the run has ended")


def test_a_port_in_use_and_names_that_are_none_are_told_in_a_line(tmp_path):
    desk, ledger = desk_of(tmp_path, TASK, ROWS_OF_TOPICS)
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(UserError, match=r"rounds.oracle: cannot listen at 127.0.0.1, port \d+: .*in use"),
    ):
        Page(port=taken.getsockname()[1]).open(tmp_path, desk)
    ledger.close()
    for names in ([], [""], ["ann", " ann"], ["a\x1b[2J"], ["x" * 61]):
        with pytest.raises(UserError, match=r"rounds.oracle.annotators: expected "):
            Page(annotators=names)


@pytest.mark.parametrize("package", ["starlette", "uvicorn"])
def test_a_missing_package_is_told_in_a_line(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=rf"rounds.oracle: {package} is not installed \(pip install .*\[page\]"):
        Page()


def test_a_request_reads_its_own_question_alone(tmp_path):
    rows = [{"text": f"text {number}"} for number in range(2000)]
    desk, ledger = desk_of(tmp_path, TASK, rows, wanted=5)
    names = [f"annotator {number}" for number in range(5)]
    ledger.record([Given("pool", row, name, row % 3) for row in range(1990) for name in names])
    site = Site(tmp_path, desk, ledger, names)
    built = []
    make_question, desk._question = desk._question, lambda *of: built.append(of) or make_question(*of)
    for name in names:
        told = site.send("pool-1990", "tech", who=name).json()
        site.get("answers", name)
    assert told["progress"]["answered"] == 1990 * 5 + 5
    assert told["question"]["id"] == "pool-1991"
    assert len(built) <= 3 * len(names)
    ledger.close()
