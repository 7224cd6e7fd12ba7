"""What needs no server: label configs, and annotations as a server of version 1.23.2 wrote them."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from xml.etree import ElementTree

import pytest
from studio import KINDS, NAMES, Run, asked

from lit_react.annotation.label_studio import LabelStudio
from lit_react.annotation.label_studio_forms import (
    answer_of,
    described,
    grown,
    label_config,
    needed,
    prediction,
    tag_for,
)
from lit_react.core.errors import UserError

START = KINDS["span"][1]["context"].rindex("Ana")
LINES = "line one\nzwei \N{PILE OF POO} <b>x</b>"


def result(kind, about="text", **value):
    return {
        "value": value,
        "id": "S7fdUNEywp",
        "from_name": "label",
        "to_name": about,
        "type": kind,
        "origin": "manual",
    }


RECORDED = {
    "class": ([result("choices", choices=["a & <b>"])], 1),
    "classes": ([result("choices", choices=["$100 ]]>", "a & <b>"])], [1, 2]),
    "relation": ([result("choices", choices=["business"])], 0),
    "spans": (
        [
            result("labels", start=9, end=13, text="Rome", labels=["LOC"]),
            result("labels", start=2, end=4, text="An", labels=["PER"]),
        ],
        [0, 3, 0, 1, 0],
    ),
    "span": (
        [result("labels", about="context", start=START, end=START + 3, text="Ana", labels=["answer"])],
        {"start": START, "text": "Ana"},
    ),
    "text": ([result("textarea", text=[LINES])], LINES),
}
"""Kind of a question → result of an annotation, and the label that it means."""


@pytest.mark.parametrize("kind", KINDS)
def test_recorded_annotations_are_answers(kind):
    given, label = RECORDED[kind]
    rating = {"value": {"rating": 3}, "from_name": "stars", "to_name": "text", "type": "rating"}
    assert asked(kind).parse(answer_of(asked(kind), [rating, *given])) == label


@pytest.mark.parametrize(
    ("kind", "given", "reason"),
    [
        ("class", [], r"unknown label \[\]: expected one of"),
        ("class", [result("choices", choices=NAMES[:2])], r"unknown label \['business', 'a & <b>'\]"),
        ("class", [result("choices", choices=["other"])], "unknown label 'other'"),
        ("spans", [result("labels", start=1, end=2, text=" ", labels=["PER"])], "from 1 to 2 has no word in it"),
        ("spans", [result("labels", start=2, end=n, text="Ana", labels=["PER"]) for n in (5, 8)], "overlaps"),
        ("spans", [result("labels", start=2, end=5, text="Ana", labels=["PER", "LOC"])], "unknown label"),
        ("span", [], "0 spans are marked: expected one"),
        ("text", [], "expected a text"),
    ],
)
def test_annotations_that_mean_nothing_are_told(kind, given, reason):
    with pytest.raises(ValueError, match=reason):
        asked(kind).parse(answer_of(asked(kind), given))


def test_no_spans_and_no_choices_are_answers_too():
    assert asked("spans").parse(answer_of(asked("spans"), [])) == [0, 0, 0, 0, 0]
    assert asked("classes").parse(answer_of(asked("classes"), [])) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_label_config_has_a_tag_for_its_questions(kind):
    question = asked(kind)
    view = ElementTree.fromstring(label_config(question))
    tag = view.find("*[@toName]")
    assert {"name": tag.get("toName"), "value": f"${tag.get('toName')}"} in [
        text.attrib for text in view.findall("Text")
    ]
    names = [item.get("alias") or item.get("value") for item in tag]
    parsed = {
        "label": {
            "type": tag.tag,
            "to_name": [tag.get("toName")],
            "inputs": [{"value": tag.get("toName")}],
            "labels": names,
        }
    }
    assert tag_for(question, parsed) == ("label", tag.get("toName"))
    assert described(parsed) == described(needed(question))
    assert all("$" not in item.get("value") for item in tag)  # Label Studio would put a field of the task there


def test_another_label_config_does_not_fit():
    tag = {"type": "Choices", "to_name": ["t"], "inputs": [{"value": "text"}], "labels": [*NAMES, "more"]}
    assert tag_for(asked(), {"kind": tag}) == ("kind", "t")
    for other in ({"type": "Labels"}, {"inputs": [{"value": "html"}]}, {"labels": NAMES[1:]}):
        assert tag_for(asked(), {"kind": tag | other}) is None
    assert described({}) == "nothing"


def test_names_that_joined_are_added_and_nothing_else_changes():
    tag = {"type": "Choices", "to_name": ["t"], "inputs": [{"value": "text"}], "labels": NAMES[:1]}
    config = '<View><Text name="t" value="$text" /><Choices name="c" toName="t">{}</Choices></View>'
    old = '<Choice value="business" />'
    new = '<Choice value="a &amp; &lt;b&gt;" /><Choice value="\uff04100 ]]&gt;" alias="$100 ]]&gt;" />'
    assert grown(asked(), config.format(old), {"c": tag}) == config.format(old + new)
    for other in ([*NAMES, "more"], ["more"], NAMES):
        assert grown(asked(), config.format(old), {"c": tag | {"labels": other}}) is None


def test_150_classes_are_a_list_to_search_in():
    few, many = asked(), asked()
    many.shown["labels"] = [f"class {number}" for number in range(150)]
    assert ['layout="select"' in label_config(question) for question in (few, many)] == [False, True]


def test_predictions_are_the_likeliest_class_or_all_that_are_likely():
    shares = {NAMES[1]: 0.8, NAMES[0]: 0.6, NAMES[2]: 0.1}
    one, several = (prediction(asked(kind, guess=shares), "label", "text") for kind in ("class", "classes"))
    assert [each["result"][0]["value"]["choices"] for each in (one, several)] == [NAMES[1:2], [NAMES[1], NAMES[0]]]
    assert one["score"] == 0.8
    assert prediction(asked(), "label", "text") is None


@contextmanager
def answering(status, body="", **headers):
    """A server that is no Label Studio."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (200, "<html>", "answers GET /api/users/ with 200 OK, expected Label Studio's"),
        (302, "", "answers GET /api/users/ with 302 Found, expected"),
        (404, '{"detail": "none here"}', "with 404 none here, expected"),
        (502, "", "answers GET /api/users/ with 502 Bad Gateway"),
    ],
)
def test_what_is_no_label_studio_is_told_in_a_line(tmp_path, monkeypatch, status, body, reason):
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "0" * 40)
    run = Run(tmp_path)
    with answering(status, body, Location="http://127.0.0.1:1/") as url, pytest.raises(UserError, match=reason):
        LabelStudio("news", f"{url}/").open(tmp_path, run.desk)


@pytest.mark.parametrize(
    ("token", "url", "reason"),
    [
        ("", "http://127.0.0.1:1", "^LABEL_STUDIO_API_KEY is not set: expected one of http://127.0.0.1:1 "),
        ("a\nb", "http://127.0.0.1:1", "^LABEL_STUDIO_API_KEY is no token"),
        ("ab", "http://127.0.0.1:1", "^rounds.oracle.url: http://127.0.0.1:1 does not answer: .*refused"),
        ("ab", "localhost:8080", "^rounds.oracle.url: expected the address of a server"),
        ("", "http://ann:secret@localhost", "^rounds.oracle.url: expected the address of a server, such as [^@]*$"),
    ],
)
def test_a_server_that_cannot_be_asked_is_told_in_a_line(tmp_path, monkeypatch, token, url, reason):
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", token)
    with pytest.raises(UserError, match=reason):
        LabelStudio("news", url).open(tmp_path, Run(tmp_path).desk)
