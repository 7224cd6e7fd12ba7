"""A real Label Studio server: `make test-label-studio` installs it and names it in LABEL_STUDIO."""

import os
import re
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

import httpx
import pandas as pd
import pytest
from ledgers import query
from studio import HOSTILE, NAMES, Run
from tiny import command

from lit_react import tasks
from lit_react.annotation.label_studio import LabelStudio
from lit_react.cli import main
from lit_react.core.errors import UserError
from lit_react.data.datamodule import PoolDataModule

pytestmark = pytest.mark.label_studio
TOKEN = "0123456789abcdef" * 2 + "01234567"
SECONDS = 300


@pytest.fixture(scope="session")
def url(tmp_path_factory):
    program = Path(os.environ["LABEL_STUDIO"]).absolute()
    data = tmp_path_factory.mktemp("label_studio") / "data"
    shutil.copytree(program.parents[1] / "data", data)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [program, "start", "--no-browser", "--internal-host", "127.0.0.1", "--port", str(port)]
    command += ["--data-dir", data, "--username", "ann@example.org", "--password", "password1"]
    command += ["--user-token", TOKEN, "--enable-legacy-api-token"]
    private = {"COLLECT_ANALYTICS": "False", "LATEST_VERSION_CHECK": "False", "SENTRY_DSN": ""}
    with (data.parent / "log").open("w") as log:
        server = subprocess.Popen(command, env={**os.environ, **private}, stdout=log, stderr=log)
    try:
        until(lambda: server.poll() is not None or answers(address))
        assert server.poll() is None, (data.parent / "log").read_text()[-2000:]
        yield address
    finally:
        server.terminate()
        server.wait(30)


def answers(address):
    try:
        return httpx.get(f"{address}/health").is_success
    except httpx.TransportError:
        return False


def until(true):
    end = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.2)


class Person:
    """A user of the server, who annotates through its API."""

    def __init__(self, url, token):
        self.http = httpx.Client(base_url=url, headers={"Authorization": f"Token {token}"}, timeout=60)

    def ask(self, method, path, **options):
        response = self.http.request(method, path, **options)
        assert response.is_success, response.text
        return response.json() if response.content else None

    def project(self, title):
        found = self.ask("GET", "/api/projects/", params={"title": title})["results"]
        return found[0] if found else None

    def tasks(self, title):
        project = self.project(title)
        return self.ask("GET", "/api/tasks/", params={"project": project["id"], "fields": "all"})["tasks"]

    def annotate(self, task, *values, kind="choices", **more):
        about = "context" if "context" in task["data"] else "text"
        result = [{"from_name": "label", "to_name": about, "type": kind, "value": value} for value in values]
        given = {"result": result, "lead_time": 2.5, **more}
        return self.ask("POST", f"/api/tasks/{task['id']}/annotations/", json=given)["id"]

    def choose(self, task, *names):
        return self.annotate(task, {"choices": list(names)})


@pytest.fixture(scope="session")
def ann(url):
    return Person(url, TOKEN)


@pytest.fixture(scope="session")
def bob(url):
    with httpx.Client(base_url=url, timeout=60) as http:
        form = re.search(r'csrfmiddlewaretoken" value="([^"]+)"', http.get("/user/signup/").text)[1]
        given = {"csrfmiddlewaretoken": form, "email": "bob@example.org", "password": "password2"}
        assert http.post("/user/signup/", data=given).status_code == 302
        return Person(url, http.get("/api/current-user/token").json()["token"])


@pytest.fixture
def title(request):
    return re.sub(r"\W+", " ", request.node.name)[-50:].strip()


@pytest.fixture
def oracle(url, title, monkeypatch):
    """Makes the oracle of a new process."""
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", TOKEN)
    return lambda wait=False, **options: LabelStudio(title, url, wait=wait, poll_seconds=0.2, **options)


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path)


def test_a_query_is_imported_in_its_order_with_what_the_model_thinks(tmp_path, oracle, ann, title):
    run = Run(tmp_path, guesses={9: {NAMES[2]: 0.75, NAMES[0]: 0.25}})
    run.ask(4, 9, 1, round=3)
    assert run.answer(oracle()) == {"pool-4": {}, "pool-9": {}, "pool-1": {}}
    tasks = ann.tasks(title)
    assert [task["data"]["lit_react_id"] for task in sorted(tasks, key=lambda t: t["id"])] == [
        "pool-4",
        "pool-9",
        "pool-1",
    ]
    assert tasks[0]["data"]["text"] == HOSTILE.replace("\0", "\N{REPLACEMENT CHARACTER}")
    assert ann.project(title)["sampling"] == "Sequential sampling"
    assert ann.project(title)["parsed_label_config"]["label"]["labels"] == NAMES
    (guess,) = (task["predictions"][0] for task in tasks if task["predictions"])
    assert (guess["score"], guess["model_version"]) == (0.75, "round 2")
    assert guess["result"][0]["value"] == {"choices": [NAMES[2]]}


def test_two_annotators_correct_skip_and_take_back(run, oracle, ann, bob, title):
    run.ask(0, 1, wanted=2)
    studio = oracle()
    run.answer(studio)
    first, second = ann.tasks(title)
    assert first["overlap"] == 2
    of_ann, of_bob = ann.choose(first, NAMES[0]), bob.choose(first, NAMES[1])
    bob.annotate(second, was_cancelled=True)
    ann.choose(second, NAMES[2])
    both = {"ann@example.org": 2, "bob@example.org": None}
    assert run.answer(studio) == {"pool-0": {"ann@example.org": 0, "bob@example.org": 1}, "pool-1": both}
    given = run.desk.asked()[0].answers["ann@example.org"]
    assert (given.cost, given.seconds) == (1.0, 2.5)

    result = [{"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": [NAMES[2]]}}]
    ann.ask("PATCH", f"/api/annotations/{of_ann}/", json={"result": result})
    bob.ask("DELETE", f"/api/annotations/{of_bob}/")
    assert run.answer(oracle()) == {"pool-0": {"ann@example.org": 2}, "pool-1": both}
    assert len(ann.tasks(title)) == 2


def test_more_opinions_on_an_imported_text_raise_its_overlap(run, oracle, ann, title):
    run.ask(0, 1)
    run.answer(oracle())
    run.ledger.ask(1, [query(0, again=True)])
    run.answer(oracle())
    assert {task["data"]["lit_react_id"]: task["overlap"] for task in ann.tasks(title)} == {"pool-0": 2, "pool-1": 1}


def test_nothing_is_imported_twice_after_a_kill_and_runs_do_not_mix(tmp_path, oracle, ann, title):
    run, other = Run(tmp_path / "a"), Run(tmp_path / "b")
    run.ask(0, 1)
    other.ask(0)
    killed = oracle()
    killed.open(run.folder, run.desk)
    killed._import(run.desk.waiting())  # and never heard of again
    run.answer(oracle())
    other.answer(oracle())
    tasks = ann.tasks(title)
    assert [task["data"]["lit_react_id"] for task in tasks] == ["pool-0", "pool-1", "pool-0"]
    ann.choose(tasks[2], NAMES[1])
    assert run.answer(oracle()) == {"pool-0": {}, "pool-1": {}}
    assert other.answer(oracle()) == {"pool-0": {"ann@example.org": 1}}


def test_a_run_that_waits_takes_answers_as_they_come(run, oracle, ann, title):
    run.ask(0, 1)
    found = []
    waiting = threading.Thread(target=lambda: found.append(run.answer(oracle(wait=True))))
    waiting.start()
    until(lambda: ann.project(title) and len(ann.tasks(title)) == 2)
    first, second = ann.tasks(title)
    ann.choose(first, NAMES[0])
    until(lambda: run.answers()["pool-0"])
    assert waiting.is_alive()
    ann.choose(second, NAMES[1])
    waiting.join(SECONDS)
    assert found == [{"pool-0": {"ann@example.org": 0}, "pool-1": {"ann@example.org": 1}}]


def test_an_annotation_that_means_nothing_is_told_of_and_can_be_mended(run, oracle, ann, title, caplog):
    run.ask(0)
    studio = oracle()
    run.answer(studio)
    (task,) = ann.tasks(title)
    number = ann.choose(task)
    assert run.answer(studio) == {"pool-0": {}}
    assert f"task={task['id']}: the annotation of ann@example.org: unknown label []: expected one of" in caplog.text
    result = [{"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": [NAMES[0]]}}]
    ann.ask("PATCH", f"/api/annotations/{number}/", json={"result": result})
    assert run.answer(studio) == {"pool-0": {"ann@example.org": 0}}


@pytest.mark.parametrize(
    ("kind", "form", "values", "label"),
    [
        ("relation", "choices", [{"choices": [NAMES[1]]}], 1),
        ("classes", "choices", [{"choices": [NAMES[2], NAMES[0]]}], [0, 2]),
        ("classes", "choices", [], []),
        ("spans", "labels", [{"start": 2, "end": 5, "text": "Ana", "labels": ["PER"]}], [0, 3, 0, 0, 0]),
        ("text", "textarea", [{"text": [HOSTILE]}], HOSTILE),
    ],
)
def test_every_kind_of_question_has_a_project_that_the_server_takes(
    tmp_path, oracle, ann, title, kind, form, values, label
):
    run = Run(tmp_path, kind)
    run.ask(0)
    run.answer(oracle())
    (task,) = ann.tasks(title)
    ann.annotate(task, *values, kind=form)
    assert run.answer(oracle()) == {"pool-0": {"ann@example.org": label}}


def test_the_span_of_a_context_is_found_where_it_was_marked(tmp_path, oracle, ann, title):
    run = Run(tmp_path, "span")
    run.ask(0)
    run.answer(oracle())
    (task,) = ann.tasks(title)
    start = task["data"]["context"].rindex("Ana")
    ann.annotate(task, {"start": start, "end": start + 3, "text": "Ana", "labels": ["answer"]}, kind="labels")
    assert run.answer(oracle()) == {"pool-0": {"ann@example.org": {"start": start, "text": "Ana"}}}


def test_a_project_of_the_users_own_is_used_as_it_is(run, oracle, ann, title, url):
    more = '<Choices name="kind" toName="t" choice="multiple"><Choice value="more"/>'
    names = '<Choice value="business"/><Choice value="a &amp; &lt;b&gt;"/><Choice value="x" alias="$100 ]]&gt;"/>'
    own = f'<View><Text name="t" value="$text"/>{more}{names}</Choices><Rating name="r" toName="t"/></View>'
    ann.ask("POST", "/api/projects/", json={"title": title, "label_config": own})
    run.ask(0)
    studio = oracle()
    run.answer(studio)
    assert len(ann.tasks(title)) == 1
    assert ann.project(title)["label_config"] == own


def test_classes_that_join_are_added_to_the_project(run, oracle, ann, title):
    own = '<View><Text name="t" value="$text"/><Choices name="c" toName="t"><Choice value="business"/></Choices></View>'
    ann.ask("POST", "/api/projects/", json={"title": title, "label_config": own})
    run.ask(0)
    run.answer(oracle())
    assert ann.project(title)["parsed_label_config"]["c"]["labels"] == NAMES


def test_a_project_without_the_needed_labels_is_refused(run, oracle, ann, title, url):
    choices = '<Choices name="c" toName="text"><Choice value="sport"/></Choices>'
    own = f'<View><Text name="text" value="$text"/>{choices}</View>'
    ann.ask("POST", "/api/projects/", json={"title": title, "label_config": own})
    run.ask(0)
    with pytest.raises(UserError) as refused:
        run.answer(oracle())
    expected = f"has Choices of sport about $text: expected Choices of {', '.join(NAMES)} about $text"
    assert str(refused.value).startswith(f"rounds.oracle.project: {title!r} of {url} {expected}; ")
    assert ann.tasks(title) == []


def test_personal_access_tokens_are_exchanged_again_when_they_run_out(run, oracle, ann, title, monkeypatch):
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", ann.ask("POST", "/api/token/", json={})["token"])
    run.ask(0)
    studio = oracle()
    run.answer(studio)
    (task,) = ann.tasks(title)
    ann.choose(task, NAMES[0])
    studio._server._client.auth._short = "a.b.c"
    assert [answer.label for answer in studio.label(run.desk.waiting())] == NAMES[:1]


@pytest.mark.parametrize("token", ["0" * 40, "a.b.c"])
def test_a_token_that_the_server_refuses_is_told_without_saying_it(run, oracle, url, monkeypatch, token):
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", token)
    with pytest.raises(UserError, match=f"^LABEL_STUDIO_API_KEY: {url} refuses the token: 401 ") as refused:
        oracle().open(run.folder, run.desk)
    assert token not in str(refused.value)


def test_a_run_stops_for_people_goes_on_with_their_answers_and_never_says_the_token(
    tmp_path, news_csv, tiny_bert, oracle, ann, title, url, capfd
):
    frame = pd.read_csv(news_csv)
    labels = dict(zip(frame["text"], frame["label"], strict=True))
    frame[["text"]].to_csv(tmp_path / "unlabeled.csv", index=False)
    asks = ["--rounds.oracle", "LabelStudio", "--rounds.oracle.url", url, "--rounds.oracle.project", title]
    asks += ["--rounds.oracle.wait", "false", "--data.label_names", f"[{', '.join(sorted(set(labels.values())))}]"]
    few = ["--data.test_size", "0", "--data.validation_size", "0", "--data.initial_size", "6", "--rounds.budget", "12"]
    options = command(tmp_path / "unlabeled.csv", tiny_bert, tmp_path / "run", *asks, *few)
    oracle()  # the token
    main(options)
    said = f"round 0: 0 of 6 labels are there; give the others in {url}/projects/{ann.project(title)['id']}/data"
    assert said in capfd.readouterr().out
    for _ in range(2):
        for task in ann.tasks(title):
            if not task["annotations"]:
                ann.choose(task, labels[task["data"]["text"]])
        main(options)
    assert len(ann.tasks(title)) == 12
    assert len({task["data"]["lit_react_id"] for task in ann.tasks(title)}) == 12
    assert any(task["predictions"] for task in ann.tasks(title)[6:])
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert len(files) > 5
    assert all(TOKEN.encode() not in path.read_bytes() for path in files)
    assert TOKEN not in "".join(capfd.readouterr())


TAGS = '<Labels name="label" toName="text"><Label value="LOC"/><Label value="PER"/></Labels>'
CHOICES = '<Choices name="label" toName="text" choice="{}"><Choice value="b"/><Choice value="a"/></Choices>'
PLACE = {"start": 2, "end": 6, "text": "Rome", "labels": ["LOC"]}


@pytest.mark.parametrize(
    ("control", "kind", "values", "model", "label"),
    [
        (CHOICES.format("single"), "choices", [{"choices": ["b"]}], "SentenceClassification", 0),
        (CHOICES.format("multiple"), "choices", [{"choices": ["b", "a"]}], "MultiLabelClassification", [0, 1]),
        (TAGS, "labels", [PLACE], "TokenClassification", [0, 1, 0]),
    ],
)
def test_exports_are_read_as_labels(tmp_path, ann, bob, title, control, kind, values, model, label):
    project = {"title": title, "label_config": f'<View><Text name="text" value="$text"/>{control}</View>'}
    number = ann.ask("POST", "/api/projects/", json=project)["id"]
    texts = [{"data": {"text": text}} for text in ("\N{PILE OF POO} Rome!", 'Rain, "again"\nand again', "Snow")]
    ann.ask("POST", f"/api/projects/{number}/import", json=texts)
    first, second, _ = ann.tasks(title)
    bob.annotate(first, was_cancelled=True)
    ann.annotate(first, *values, kind=kind)
    ann.annotate(second, was_cancelled=True)
    for form in ("JSON", "JSON_MIN", "CSV", "TSV"):
        options = {"exportType": form, "download_all_tasks": "true"}
        export = ann.http.get(f"/api/projects/{number}/export", params=options)
        path = tmp_path / f"{form}.{form.split('_')[0].lower()}"
        path.write_bytes(export.content)
        columns = (
            {"text_column": "data.text", "label_column": "annotations"} if form == "JSON" else {"label_column": "label"}
        )
        read = PoolDataModule(str(path), **{"text_column": "text"} | columns).prepare(getattr(tasks, model)().task)
        assert list(read.splits.pool["label"]) == [label, None, None][: len(read.splits.pool)]
