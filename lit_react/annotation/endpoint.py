"""Requests to a language model, and the replies that were paid for."""

from __future__ import annotations

import json
import logging
import sqlite3
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from lit_react.core.errors import UserError

if TYPE_CHECKING:
    from openai import OpenAIError

log = logging.getLogger("lit_react")


@dataclass(frozen=True)
class Reply:
    """What the model wrote.

    Attributes:
        content: the text.
        input: tokens of the prompt that are billed; None where the endpoint does not tell.
        output: tokens that were generated.
        log_probability: of the whole text; None where the endpoint does not tell, or where more than JSON was written.
    """

    content: str
    input: int | None
    output: int | None
    log_probability: float | None


class Refused(ValueError):
    """The endpoint takes a request in no form, or what it says is no chat completion."""


class Endpoint:
    """A model behind OpenAI's chat completions, for several threads.

    Each reply is on the disk before it is returned, by the digest of the whole request, and asked for once only. A
    redirect is an error: nothing goes to another host.

    Args:
        base_url: of the endpoint.
        model: name of the model there.
        key: of the endpoint; None where it wants none.
        timeout: seconds until a request counts as lost.
        retries: of lost and refused requests; the client waits longer each time, or as long as `Retry-After` says.
        replies: SQLite file of all replies.
    """

    def __init__(self, base_url: str, model: str, key: str | None, timeout: float, retries: int, replies: Path) -> None:
        from openai import DefaultHttpxClient, OpenAI

        self.base_url, self.model, self.host = base_url, model, urlsplit(base_url).netloc
        self._key, self._unsupported, self._lock = key, set[str](), Lock()
        self._failure = ""
        self._client = OpenAI(
            base_url=base_url,
            api_key=key or "none",
            timeout=timeout,
            max_retries=retries,
            http_client=DefaultHttpxClient(follow_redirects=False),
        )
        self._db = sqlite3.connect(replies, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("CREATE TABLE IF NOT EXISTS replies (request TEXT PRIMARY KEY, reply TEXT NOT NULL)")

    def ask(self, name: str, prompt: list[dict[str, str]], options: dict[str, Any]) -> Reply:
        """What was paid for before, or what the endpoint says now.

        Args:
            name: tells requests apart that say the same.
            prompt: the messages.
            options: what an endpoint may refuse: it is left out then.

        Raises:
            Refused: this prompt brings nothing.
            UserError: the endpoint fails, whatever the prompt, or has failed: it is asked nothing more.
        """
        request = json.dumps([name, self.base_url, self.model, prompt, options], sort_keys=True)
        digest = sha256(request.encode()).hexdigest()
        with self._lock:
            found = self._db.execute("SELECT reply FROM replies WHERE request = ?", (digest,)).fetchone()
        if found:
            return Reply(**json.loads(found[0]))
        reply = self._request(prompt, options)
        with self._lock:
            self._db.execute("INSERT OR REPLACE INTO replies VALUES (?, ?)", (digest, json.dumps(asdict(reply))))
        return reply

    def _request(self, prompt: list[dict[str, str]], options: dict[str, Any]) -> Reply:
        """Leave out one option more until the endpoint takes the request; the others need not try what helped."""
        from openai import BadRequestError, OpenAIError, UnprocessableEntityError

        left = {name: value for name, value in options.items() if name not in self._unsupported}
        create: Any = self._client.chat.completions.create
        while True:
            if self._failure:
                raise UserError(self._failure)
            try:
                reply = _reply(create(model=self.model, messages=prompt, **left))
                break
            except (BadRequestError, UnprocessableEntityError) as error:
                if not left:
                    raise Refused(self._said(error)) from error
                left.pop(next((name for name in left if name in str(error)), next(iter(left))))
            except OpenAIError as error:
                kept = "all answers so far are kept, the same command goes on"
                self._failure = f"LLM: {self.host} fails: {self._said(error)}; {kept}"
                raise UserError(self._failure) from error
            except (AttributeError, IndexError, TypeError, ValueError) as error:
                raise Refused(f"{self.host} gives no chat completion") from error
        with self._lock:
            new = set(options) - set(left) - self._unsupported
            self._unsupported |= new
        if new:
            log.info("LLM: %s does not take %s; it goes without", self.host, ", ".join(sorted(new)))
        return reply

    def _said(self, error: OpenAIError) -> str:
        """An error in one line, without the key, which some endpoints repeat."""
        text = str(error).replace(self._key, "…") if self._key else str(error)
        return " ".join(text.split())[:200]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._client.close()
        self._db.close()


def _reply(completion: Any) -> Reply:
    """Of a chat completion; an AttributeError, IndexError or TypeError where it is none."""
    choice, usage = completion.choices[0], completion.usage
    content = choice.message.content or ""
    given = (choice.logprobs and choice.logprobs.content) or []
    sure = sum(token.logprob for token in given) if given and content.lstrip().startswith("{") else None
    read, written = (usage.prompt_tokens, usage.completion_tokens) if usage else (None, None)
    return Reply(content, read, written, sure)
