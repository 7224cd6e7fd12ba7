"""A server that speaks OpenAI's chat completions, as a test tells it to."""

import json
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Said = tuple[int, dict[str, str], Any]
"""Status, headers, and body: text, or what becomes JSON."""


class ChatServer:
    """What was asked of it and how it answers.

    Attributes:
        requests: bodies of all requests, with the header `authorization`.
        url: base URL.
        speak: body of a request → what is said; called in a thread of the request.
    """

    def __init__(self, speak: Callable[[dict], Said], port: int) -> None:
        self.requests: list[dict] = []
        self.speak, self.url = speak, f"http://127.0.0.1:{port}/v1"

    @property
    def texts(self) -> list[str]:
        """What each request asks about."""
        return [text_of(request) for request in self.requests]


def text_of(request: dict) -> str:
    """The text that a request asks about; of a repeated request, too."""
    shown = [m["content"] for m in request["messages"] if m["content"].startswith('{"text": ')]
    return json.loads(shown[-1])["text"]


def completion(content: str | dict, probability: float | None = 0.5, tokens: tuple[int, int] = (100, 10)) -> Said:
    """A completion with the usage and the log-probabilities of the protocol."""
    text = content if isinstance(content, str) else json.dumps(content)
    logprobs = (
        {"content": [{"token": text, "logprob": math.log(probability), "top_logprobs": []}]} if probability else None
    )
    choice = {
        "index": 0,
        "finish_reason": "stop",
        "message": {"role": "assistant", "content": text},
        "logprobs": logprobs,
    }
    usage = dict(zip(("prompt_tokens", "completion_tokens", "total_tokens"), (*tokens, sum(tokens)), strict=True))
    return (
        200,
        {},
        {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage},
    )


def refusal(status: int, message: str, **headers: str) -> Said:
    """An error of the protocol."""
    return status, headers, {"error": {"message": message, "type": "error", "param": None, "code": None}}


@contextmanager
def chat_server(speak: Callable[[dict], Said]) -> Iterator[ChatServer]:
    """A server on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            server.requests.append(request | {"authorization": self.headers["authorization"]})
            status, headers, body = server.speak(request)
            sent = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            try:
                self.send_response(status)
                fixed = {"content-type": "application/json", "content-length": str(len(sent))}
                for name, value in (fixed | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(sent)
            except OSError:
                pass  # whoever asked has gone

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server = ChatServer(speak, http.server_port)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
