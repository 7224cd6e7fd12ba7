"""`serve`: a real server, whose requests are read in batches; what is hostile is refused in one line."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from lit_react.cli import main

pytest.importorskip("litserve")


@dataclass
class Server:
    """A running server, and its files."""

    client: httpx.Client
    collected: Path
    log: Path
    process: subprocess.Popen

    def post(self, body: str | bytes, kind: str = "application/json") -> httpx.Response:
        return self.client.post("/predict", content=body, headers={"content-type": kind})

    def predict(self, text: str) -> dict:
        return self.post(json.dumps({"text": text})).raise_for_status().json()


@pytest.fixture(scope="module")
def server(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    here = tmp_path_factory.mktemp("serve")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    options = ["--port", str(port), "--collect", str(here / "pool.jsonl"), "--max_text", "500"]
    command = [sys.executable, "-m", "lit_react", "serve", str(finished), *options, "--accelerator", "cpu"]
    with (here / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None:
            try:
                if client.get("/health").status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.1)
        else:
            pytest.fail((here / "log").read_text())
        yield Server(client, here / "pool.jsonl", here / "log", process)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_answers_of_many_clients_are_those_of_predict(server: Server, finished: Path, tmp_path: Path) -> None:
    texts = [f"shares of firm {number} rose as the bank cut rates" for number in range(12)]
    (tmp_path / "new.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    options = ["--data.predict", str(tmp_path / "new.jsonl"), "--predictions.path", str(tmp_path / "said.jsonl")]
    main(["predict", "--config", str(finished / "config.yaml"), *options, "--trainer.enable_progress_bar", "false"])
    expected = [json.loads(line) for line in (tmp_path / "said.jsonl").read_text().splitlines()]
    with ThreadPoolExecutor(12) as clients:
        said = list(clients.map(server.predict, texts))
    for answer, prediction in zip(said, expected, strict=True):
        assert (answer["text"], answer["label"]) == (prediction["text"], prediction["label"])
        shares = pytest.approx(prediction["probabilities"], abs=0.02)  # bf16, where the processor has it
        assert answer["probabilities"] == shares
        assert answer["abstains"] in (None, "unsure", "out of scope")


def test_what_it_abstained_on_is_collected_once(server: Server) -> None:
    strange = "你好，世界 <script>alert(1)</script> \u202e"
    said = [server.predict(strange) for _ in range(2)]
    assert said[0] == said[1]
    assert said[0]["text"] == strange
    assert said[0]["abstains"] is not None
    lines = [json.loads(line) for line in server.collected.read_text().splitlines()]
    assert lines.count({"text": strange}) == 1


@pytest.mark.parametrize(
    ("body", "status", "line"),
    [
        ("", 400, "the body is not JSON: Expecting value at character 0"),
        ('{"text": "a"', 400, "the body is not JSON: Expecting ',' delimiter at character 12"),
        (b'{"text": "\xff"}', 400, "the body is not UTF-8 at byte 10"),
        ("[" * 100_000, 400, "the body is not JSON: nested too deeply, or a number too long"),
        ("[]", 422, "expected an object of 'text': a string"),
        ('{"texts": "a"}', 422, "expected an object of 'text': a string"),
        ('{"text": 1}', 422, "expected 'text': a string"),
        ('{"text": ["a"]}', 422, "expected 'text': a string"),
        ('{"text": " "}', 422, "'text' is empty"),
        (r'{"text": "\ud83d"}', 422, "'text' has half of a surrogate pair, which is no text"),
        (json.dumps({"text": 501 * "a"}), 422, "501 characters of text, expected at most 500"),
        (b" " * 10_000_000, 413, "the body is longer than 1000000 bytes"),
    ],
)
def test_what_is_no_row_is_refused_in_one_line(server: Server, body: str | bytes, status: int, line: str) -> None:
    answer = server.post(body)
    assert (answer.status_code, answer.json()) == (status, {"detail": line})


def test_a_page_of_another_site_cannot_ask(server: Server) -> None:
    assert server.post('{"text": "a"}', kind="text/plain").status_code == 415


def test_the_api_is_described_and_texts_are_not_logged(server: Server) -> None:
    described = server.client.get("/openapi.json").json()["paths"]["/predict"]["post"]
    schema = described["requestBody"]["content"]["application/json"]["schema"]
    assert schema["required"] == ["text"]
    assert server.client.get("/docs").status_code == 200
    abstains = server.client.get("/info").json()["model"]["abstains"]
    assert "precision" in abstains[0]
    server.predict("a secret that nobody logs")
    log = server.log.read_text()
    assert abstains[0] in log
    assert "secret" not in log


def test_stopping_ends_it_without_a_traceback(server: Server) -> None:
    server.process.send_signal(signal.SIGTERM)
    server.process.wait(30)
    assert "Traceback" not in server.log.read_text()
    with pytest.raises(httpx.TransportError):
        server.client.get("/health")


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--port", "80"], "port: 80 is too small, expected 1024 or more, at most 65535"),
        (["--precision", "1"], "precision: 1.0 is too large, expected 0 or more, less than 1"),
        (["--host", "example.org"], "host: 'example.org', expected one of 127.0.0.1, 0.0.0.0, ::"),
        (["--collect", "pool.csv"], "collect: pool.csv has an unknown format, expected .jsonl"),
    ],
)
def test_wrong_options_are_one_line(tmp_path: Path, capsys, options: list[str], line: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["serve", str(tmp_path), *options])
    assert stopped.value.code == 2
    assert capsys.readouterr().err == f"error: {line}\n"


def test_a_missing_extra_is_one_line(tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "litserve", None)
    with pytest.raises(SystemExit):
        main(["serve", str(tmp_path)])
    assert capsys.readouterr().err == "error: serve: litserve is not installed (pip install -e '.[serve]')\n"
