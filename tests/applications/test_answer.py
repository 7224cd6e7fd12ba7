"""Customer service: what is found, when a person answers instead, and the page to chat on."""

import json
import threading
from pathlib import Path

import numpy as np
import pytest
import yaml

from lit_react.applications import retrieval
from lit_react.applications.customer_service import CustomerService, expected_threshold
from lit_react.applications.faq import Entry, keys_of, read_entries
from lit_react.applications.retrieval import BM25, words_of
from lit_react.cli import main
from lit_react.cli.answer import options_of_run, write_options
from lit_react.cli.labels import result_of
from lit_react.core.errors import UserError

pytest.importorskip("uvicorn", reason="the extra `page` is not installed")
from starlette.testclient import TestClient

from lit_react.applications.chat_page import app_of
from lit_react.applications.collection import Collection
from lit_react.core.listening import listen

HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=1</script>'
ROWS = [
    ("How do I return a parcel?", "Print the label and bring the parcel to a shop.", "Terms, § 4"),
    ("When will my refund come?", "Within five days after we have the parcel.", ""),
    ("Is there a <b>discount</b> for students?", HOSTILE, ""),
    ("如何退货？", "请打印标签，并把包裹送到商店。", "条款四"),
    ("什么时候退款？", "收到包裹后五天之内。", ""),
]


def write_faq(path: Path) -> Path:
    rows = [{"question": question, "answer": answer, "source": source} for question, answer, source in ROWS]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, tiny_bert: str) -> CustomerService:
    return CustomerService(read_entries(write_faq(tmp_path_factory.mktemp("faq") / "faq.jsonl")), pretrained=tiny_bert)


@pytest.fixture
def client(service: CustomerService, tmp_path: Path) -> TestClient:
    return TestClient(app_of(service, Collection(tmp_path / "unsure.jsonl"), "testserver"), base_url="http://127.0.0.1")


@pytest.mark.parametrize(
    ("question", "answer"),
    [("how can I return my parcel", 0), ("when is the refund there?", 1), ("怎么退货", 3), ("退款什么时候到", 4)],
)
def test_a_question_in_english_or_chinese_finds_its_answer(service, question, answer):
    [reply] = service.replies([question])
    assert reply.found[0].entry.answer == ROWS[answer][1]


def test_a_question_that_is_there_word_by_word_is_always_answered(service):
    assert [reply.abstains for reply in service.replies([question.lower() for question, _, _ in ROWS])] == [None] * 5


def test_words_are_told_in_chinese_without_spaces():
    assert words_of("Wo ist 退货 Nr. 7?") == ["wo", "ist", "退", "货", "退货", "nr", "7"]


def test_bm25_is_that_of_the_formula():
    documents = ["a b b c", "a d", "c c e"]
    found = BM25(documents, k1=1.2, b=0.6).scores(["b d", "x", "b"])
    idf, mean = np.log(1 + 2.5 / 1.5), 3
    of_b = idf * 2 / (2 + 1.2 * (0.4 + 0.6 * 4 / mean))
    of_d = idf * 1 / (1 + 1.2 * (0.4 + 0.6 * 2 / mean))
    np.testing.assert_allclose(
        found, [[of_b / (2 * idf), of_d / (2 * idf), 0], [0, 0, 0], [of_b / idf, 0, 0]], rtol=1e-5
    )


@pytest.mark.parametrize("question", ["¿Dónde está mi paquete?", "Где моя посылка?", "🦜", "…", "\u202e"])
def test_what_is_in_no_language_that_it_knows_gets_a_reply_by_the_same_rule(client, question):
    said = client.post("/predict", json={"question": question})
    assert said.status_code == 200
    assert said.json()["abstains"] in (None, "unsure")


def test_what_a_person_has_to_answer_is_collected_once(client, tmp_path):
    for _ in range(2):
        assert client.post("/predict", json={"question": "…"}).json()["abstains"] == "unsure"
    assert (tmp_path / "unsure.jsonl").read_text() == '{"text": "…"}\n'


def test_the_source_of_each_answer_is_told(client):
    entry = client.post("/predict", json={"question": "How do I return a parcel?"}).json()["entries"][0]
    assert entry["source"] == "faq.jsonl:1, Terms, § 4"


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"x" * 10_000_000, "application/json", 413),
        (b'{"question": "a"}', "text/plain", 415),
        (b"{", "application/json", 400),
        (b'{"question": 1}', "application/json", 422),
        (json.dumps({"question": 6000 * "a"}), "application/json", 422),
    ],
)
def test_what_is_no_question_is_refused_in_one_line(client, body, kind, status):
    said = client.post("/predict", content=body, headers={"content-type": kind})
    assert said.status_code == status
    assert "\n" not in said.json()["detail"]


def test_a_page_of_another_name_is_not_let_in(client):
    assert client.get("/known", headers={"host": "evil.example"}).status_code == 421


def test_logs_of_dialogues_are_answers_too(tmp_path):
    turns = [("system", "Be kind."), ("user", "hi"), ("user", "Where is it?"), ("assistant", "On its way.")]
    messages = [{"role": role, "content": text} for role, text in turns]
    logs = [{"messages": messages}, {"messages": []}, {"messages": [{"role": "user"}]}]
    (tmp_path / "logs.jsonl").write_text("".join(json.dumps(log) + "\n" for log in logs))
    talks = {"conversations": [["Where's my parcel?", "On its way.", "Thanks", "You are welcome."]]}
    (tmp_path / "talks.yml").write_text(yaml.safe_dump(talks))
    found = read_entries(tmp_path)
    assert [(entry.questions, entry.answer, entry.source) for entry in found] == [
        (["Where is it?", "Where's my parcel?"], "On its way.", "logs.jsonl:1"),
        (["Thanks"], "You are welcome.", "talks.yml, conversation 1"),
    ]


def test_one_answer_may_have_several_labels(tmp_path):
    (tmp_path / "faq.csv").write_text("question,answer,label\na,yes,first\nb,yes,second\nc,yes,first\n")
    found = [(entry.label, entry.questions) for entry in read_entries(tmp_path / "faq.csv")]
    assert found == [("first", ["a", "c"]), ("second", ["b"])]


def test_turns_are_texts_as_they_are_written(tmp_path):
    talks = "conversations:\n- - Robot?\n  - Yes\n- - When?\n  - 12:30\n- - Nothing?\n  -\n- no list - of turns\n"
    (tmp_path / "talks.yml").write_text(talks)
    parts = [{"type": "text", "text": "Where is it?"}, {"type": "image_url", "image_url": {}}]
    turns = [("user", parts), ("assistant", None), ("tool", "{}"), ("assistant", "On its way.")]
    (tmp_path / "logs.jsonl").write_text(json.dumps({"messages": [{"role": r, "content": text} for r, text in turns]}))
    found = [(entry.questions, entry.answer) for entry in read_entries(tmp_path)]
    assert found == [(["Where is it?"], "On its way."), (["Robot?"], "Yes"), (["When?"], "12:30")]


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("faq.csv", "", "faq.csv: empty: expected at least one row"),
        ("faq.csv", "question,answer\n", "faq.csv: empty: expected at least one row"),
        ("faq.csv", "question,answer\nwhy?,\n", "faq.csv: no answers: expected at least one row with a question and"),
        ("faq.csv", "q,a\nwhy?,so\n", "faq.csv: no column 'question': its columns are q, a"),
        ("faq.yml", "a: [", "faq.yml: expected YAML with `conversations`, lists of turns"),
        ("faq.yml", "[" * 1500, "faq.yml: expected YAML with `conversations`, lists of turns"),
        ("faq.jsonl", '{"messages": ["hi"]}', "faq.jsonl: no answers: expected at least one row with a question and"),
        ("faq.txt", "why", "faq.txt: unknown suffix '.txt'"),
    ],
)
def test_no_answers_are_one_line(tmp_path, capsys, name, text, line):
    (tmp_path / name).write_text(text)
    with pytest.raises(SystemExit) as stopped:
        main(["answer", str(tmp_path / name), "--collect", str(tmp_path / "new.jsonl")])
    error = capsys.readouterr().err
    assert stopped.value.code == 2
    assert line in error
    assert error.count("\n") == 1
    assert not (tmp_path / "new.jsonl").exists()


def test_a_taken_port_is_one_line(tmp_path, capsys):
    with listen("127.0.0.1", 0, "port") as taken, pytest.raises(SystemExit):
        main(["answer", str(write_faq(tmp_path / "faq.jsonl")), "--port", str(taken.getsockname()[1])])
    assert "port: cannot listen at 127.0.0.1, port" in capsys.readouterr().err


def test_a_run_adds_what_its_model_says_and_its_bought_questions(finished: Path):
    result = result_of(finished)
    names, texts = result.data.class_names, result.data.splits.pool["text"]
    entries = [Entry(f"Read the page on {name}.", name, "", [name]) for name in names]
    row, label = next(iter(result.pool_labels().items()))
    helped = CustomerService(entries, result, accelerator="cpu")
    [reply] = helped.replies([texts[row]])
    assert reply.found[0].entry.label == names[label]
    assert reply.abstains is None
    whole, by_index, [said] = helped.scores([texts[row]])
    shares = [said["probabilities"][entry.label] for entry in entries]
    np.testing.assert_allclose(whole - by_index, [shares], atol=1e-5)
    assert any("held-out bought questions" in line for line in helped.described())


def test_questions_unlike_the_pools_go_to_a_person_however_sure_the_index_is(finished: Path):
    result = result_of(finished)
    entries = [Entry(f"Read of {name}.", name, "", [name]) for name in result.data.class_names]
    helped = CustomerService(entries, result, precision=0.8, accelerator="cpu")
    helped.threshold = -np.inf
    bought = result.pool_labels()
    pool = [text for row, text in enumerate(result.data.splits.pool["text"]) if row not in bought]
    given = np.mean([reply.abstains is None for reply in helped.replies(pool)])
    assert 0.75 < given < 0.85
    assert helped.replies([helped.index.keys.texts[0]])[0].abstains is None, "word by word"
    assert "20% of the pool's questions are below a whole score of" in helped.described()[-1]


def test_a_run_that_is_sure_of_another_label_gives_no_answer(finished: Path):
    result = result_of(finished)
    entries = [Entry(f"Read of {name}.", name, "", [name]) for name in result.data.class_names]
    helped = CustomerService(entries, result, accelerator="cpu")
    helped.threshold, helped.run_threshold, helped.least = np.inf, 0.0, -np.inf
    new = [text for text in result.data.splits.pool["text"][:20] if helped.index.phrased(text) is None]
    assert any(reply.abstains is None for reply in helped.replies(new))
    for entry in entries:
        entry.label = "of no class"
    assert all(reply.abstains for reply in helped.replies(new))


def test_held_out_questions_are_scored_in_blocks(service, monkeypatch):
    whole = service.index.held_out(), service.index.of_others()
    monkeypatch.setattr(retrieval, "BLOCK", 2)
    np.testing.assert_allclose(service.index.held_out(), whole[0])
    np.testing.assert_allclose(service.index.of_others(), whole[1])


def test_a_threshold_of_calibrated_confidences_has_the_wanted_mean_above_it():
    confidences = np.array([0.5, 1.0, 0.9, 0.8, 0.2])
    assert expected_threshold(confidences, 0.9) == 0.8
    assert expected_threshold(confidences, 0.95) == 0.9
    assert expected_threshold(confidences[[0, 4]], 0.9) == np.inf
    assert expected_threshold(confidences[:0], 0.9) == np.inf


def test_a_bought_question_is_a_key_of_the_only_answer_with_its_label():
    entries = [Entry("yes", "a", "", ["one"]), Entry("no", "b", "", ["two"]), Entry("maybe", "b", "", ["three"])]
    keys = keys_of(entries, [("uno", "a"), ("dos", "b"), ("tres", "gone")], enough=1)
    assert keys.texts[0] == "uno"
    assert keys.owners[keys.asked].tolist() == [0]
    assert not {"dos", "tres"} & set(keys.texts)


def test_a_run_of_other_labels_is_one_line(finished: Path):
    with pytest.raises(
        UserError, match=r"has no label of these answers: expected 'returns' and the like, got 'business'"
    ):
        CustomerService([Entry("yes", "returns", "", ["how"])], result_of(finished))


def test_collected_questions_are_a_run_that_asks_which_answer_they_belong_to(tmp_path):
    entries = [Entry("Yes.", "a", "", ["May I?", "Can I?"]), Entry("No: never.", "b", "", ["退货"])]
    options = yaml.safe_load(options_of_run(entries, tmp_path / "pool.jsonl"))["data"]
    assert options["label_names"] == ["a", "b"]
    assert options["label_descriptions"] == {"a": ["May I?", "Can I?", "Yes."], "b": ["退货", "No: never."]}


def test_options_that_people_have_edited_are_not_overwritten(tmp_path):
    pool, entries = tmp_path / "pool.jsonl", [Entry("Yes.", "a", "", ["May I?"])]
    for _ in range(2):
        write_options(entries, pool)
    written = pool.with_suffix(".yaml").read_text()
    assert yaml.safe_load(written) == yaml.safe_load(options_of_run(entries, pool))
    pool.with_suffix(".yaml").write_text(written + "rounds: {batch_size: 5}\n")
    with pytest.raises(UserError, match="was edited: move it, or name another file"):
        write_options(entries, pool)
    assert "batch_size" in pool.with_suffix(".yaml").read_text()


@pytest.mark.browser
def test_answers_are_text_on_the_page_and_have_their_source(service):
    import shutil

    import uvicorn

    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    listener = listen("127.0.0.1", 0, "port")
    server = uvicorn.Server(uvicorn.Config(app_of(service, None, "127.0.0.1"), log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    with playwright.sync_playwright() as driver:
        try:
            browser = driver.chromium.launch(executable_path=shutil.which("chromium"))
        except playwright.Error as error:
            pytest.skip(f"no Chromium is there: {str(error).splitlines()[0]}")
        page, errors = browser.new_page(), []
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        page.goto(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        for question in (ROWS[2][0], ROWS[3][0], "…"):
            page.fill("#question", question)
            page.press("#question", "Enter")
            page.locator(".asked").filter(has_text=question).wait_for()
            page.locator("#send:enabled").wait_for()
        said = page.locator(".said")
        assert "I know 5 answers" in said.first.text_content()
        assert said.nth(1).locator(".answer").text_content() == HOSTILE
        assert said.nth(2).locator(".answer").text_content() == ROWS[3][1]
        assert "faq.jsonl:4, 条款四" in said.nth(2).locator(".source").text_content()
        assert "a person will answer" in said.nth(3).text_content()
        assert page.locator("main img, main script, main b").count() == 0
        assert page.title() == "Ask · lit-react"
        said.nth(3).locator(".other").first.click()
        assert said.nth(4).locator(".source").count() == 1
        assert not errors
        browser.close()
    server.should_exit = True
    thread.join()
