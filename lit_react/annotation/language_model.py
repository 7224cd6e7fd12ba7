"""A language model that annotates, behind any endpoint that speaks OpenAI's chat completions."""

from __future__ import annotations

import logging
import math
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from lit_react.annotation.answers import Label, written
from lit_react.annotation.desk import Asked, Desk
from lit_react.annotation.endpoint import Endpoint, Refused, Reply
from lit_react.annotation.oracles import Answer, Oracle, Question
from lit_react.annotation.prompts import form_of, messages, response_format
from lit_react.core.bounds import expect
from lit_react.core.errors import UserError
from lit_react.core.extras import check_installed

log = logging.getLogger("lit_react")

TRIES = 2
"""Times that a model is asked for an answer that means something."""


class Vote(NamedTuple):
    """An answer as people write it, or None and why; and all replies that were paid for it."""

    answer: Any
    why: str
    replies: list[Reply]


class LLM(Oracle):
    """Asks a language model for each label.

    The texts, the names and descriptions of the labels and some bought answers go to `base_url`, nowhere else, which a
    line says before the first request. Every reply is kept in `language_model.sqlite` in the run's folder, so that none
    is paid twice, whatever stops the run. A malformed answer is asked for once more, and then is a skip; where no
    answer means anything, the run stops instead. The ledger knows the answers by the model's name. Their confidence is
    the probability of what was written, where the endpoint tells it, or the share of votes.

    Args:
        base_url: such as `https://api.openai.com/v1` or `http://localhost:11434/v1`.
        model: its name there.
        api_key_env: name of the environment variable that holds the key; null where none is wanted.
        instructions: what else the model is told: rules of annotation, the language to translate into, …
        examples: how many answers of other annotators the prompt shows, bought in earlier rounds, of as many classes as
            there are; never validation labels.
        concurrency: requests at a time.
        votes: independent answers to each question, of which the most frequent one counts.
        temperature: of the draws; null: 0, or 1 where there are several votes.
        price_per_million_input: of the prompt's tokens, in cost units; where both prices are null, an answer costs what
            its question does.
        price_per_million_output: of generated tokens, in cost units.
        timeout: seconds until a request counts as lost.
        retries: of a request that was lost, or refused by 408, 409, 429 or 5xx.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        api_key_env: str | None = "OPENAI_API_KEY",
        instructions: str = "",
        examples: int = 6,
        concurrency: int = 8,
        votes: int = 1,
        temperature: float | None = None,
        price_per_million_input: float | None = None,
        price_per_million_output: float | None = None,
        timeout: float = 60.0,
        retries: int = 5,
    ) -> None:
        url = urlsplit(base_url)
        if url.scheme not in ("http", "https") or not url.hostname or "@" in url.netloc or url.query:
            raise UserError("LLM.base_url: expected http(s)://host/path, without a password or a query")
        for name, count, least in [
            ("examples", examples, 0),
            ("concurrency", concurrency, 1),
            ("votes", votes, 1),
            ("temperature", temperature or 0, 0),
            ("price_per_million_input", price_per_million_input or 0, 0),
            ("price_per_million_output", price_per_million_output or 0, 0),
            ("retries", retries, 0),
        ]:
            expect(f"LLM.{name}", count, at_least=least)
        expect("LLM.timeout", timeout, above=0)
        self.base_url, self.model, self.api_key_env, self.instructions = base_url, model, api_key_env, instructions
        self.examples, self.concurrency, self.votes = examples, concurrency, votes
        self.temperature = float(votes > 1) if temperature is None else temperature
        self.price_per_million_input, self.price_per_million_output = price_per_million_input, price_per_million_output
        self.timeout, self.retries = timeout, retries
        self.annotator, self._host, self._told = model, url.netloc, False

    def open(self, folder: Path, desk: Desk) -> None:
        """See that requests can be made, before anything is asked.

        Raises:
            UserError: the client is not installed, or there is no key.
        """
        check_installed("openai", "LLM", "llm")
        if self.api_key_env and not os.environ.get(self.api_key_env):
            raise UserError(
                f"LLM.api_key_env: the environment has no {self.api_key_env}, expected the key of "
                f"{self._host} in it, or null where that wants none"
            )
        self.folder, self.desk = folder, desk

    def label(self, questions: Sequence[Question]) -> Iterator[Answer]:
        """Answers as they come; skips are held back until an answer shows that the model can answer at all.

        Raises:
            UserError: the endpoint fails, or no answer means anything.
        """
        if not questions:
            return
        if not self._told:
            key = f", with the key in {self.api_key_env}" if self.api_key_env else ""
            log.info("LLM: texts are sent to %s for %s%s", self._host, self.model, key)
            self._told = True
        before = self.desk.asked()
        own = [asked.answers[self.annotator] for asked in before if self.annotator in asked.answers]
        works, skips, given = any(answer.label is not None for answer in own), list[Answer](), 0
        try:
            for answer in self._answers(questions, before):
                if answer.label is None:
                    skips.append(answer)
                else:
                    works = True
                    yield answer
                if works:
                    yield from skips[given:]
                    given = len(skips)
        finally:
            if skips and works:
                message = "LLM: %d of %d answers of %s are malformed and count as skips; the first: %s"
                log.warning(message, len(skips), len(questions), self.model, skips[0].note)
        if not works:
            raise UserError(f"LLM: {self.model} gives no answer that means anything: {skips[0].note}")

    def _answers(self, questions: Sequence[Question], before: Sequence[Asked]) -> Iterator[Answer]:
        """One for each question; where the endpoint fails, those under way come before the error."""
        failure: UserError | None = None
        examples = {round: self._examples(before, round) for round in {question.round for question in questions}}
        key = os.environ[self.api_key_env] if self.api_key_env else None
        replies, pool = self.folder / "language_model.sqlite", ThreadPoolExecutor(self.concurrency)
        with Endpoint(self.base_url, self.model, key, self.timeout, self.retries, replies) as endpoint:
            try:
                started = [pool.submit(self._answer, each, examples[each.round], endpoint) for each in questions]
                for future in as_completed(started):
                    try:
                        yield future.result()
                    except UserError as error:  # the others come or fail soon, too
                        failure = failure or error
            finally:
                pool.shutdown(cancel_futures=True)
        if failure:
            raise failure

    def _examples(self, before: Sequence[Asked], round: int) -> list[tuple[Question, Label]]:
        """Questions of earlier rounds with others' answers: the first of each class, then the second of each, ….

        Answers of the round itself would change the prompt when a run goes on, and its answers would be paid twice.
        """
        by_label: dict[str, list[tuple[Question, Label]]] = {}
        for asked in before:
            others = (given.label for name, given in asked.answers.items() if name != self.annotator)
            label = next((label for label in others if label is not None), None)
            if label is not None and asked.question.round < round and asked.question.id.startswith("pool-"):
                by_label.setdefault(written(label), []).append((asked.question, label))
        in_turn = chain.from_iterable(zip_longest(*by_label.values()))
        return [example for example in in_turn if example][: self.examples]

    def _answer(self, question: Question, examples: list[tuple[Question, Label]], endpoint: Endpoint) -> Answer:
        start = time.monotonic()
        others = [example for example in examples if example[0].id != question.id]  # where a second opinion is wanted
        prompt = messages(question, others, self.instructions)
        votes = [self._vote(question, prompt, f"{question.id} {vote}", endpoint) for vote in range(self.votes)]
        cost = self._cost([reply for vote in votes for reply in vote.replies])
        given = [vote for vote in votes if vote.answer is not None]
        answer, sure, note = None, None, votes[0].why
        if given:
            note = ""
            meant = [written(question.parse(vote.answer)) for vote in given]
            most, count = Counter(meant).most_common(1)[0]
            answer = given[meant.index(most)].answer
            told = given[0].replies[-1].log_probability
            sure = count / self.votes if self.votes > 1 else None if told is None else min(1.0, math.exp(told))
        return Answer(question.id, answer, self.annotator, cost, time.monotonic() - start, sure, note)

    def _vote(self, question: Question, prompt: list[dict[str, str]], name: str, endpoint: Endpoint) -> Vote:
        form, paid, why = form_of(question), list[Reply](), ""
        options: dict[str, Any] = {"response_format": response_format(question), "temperature": self.temperature}
        if self.votes == 1:
            options["logprobs"] = True
        for _ in range(TRIES):
            try:
                paid.append(endpoint.ask(name, prompt, options))
                return Vote(form.read(paid[-1].content, question), "", paid)
            except Refused as error:
                why = str(error)
            except (TypeError, ValueError) as error:
                why = " ".join(str(error).split())[:200]
                answered, again = paid[-1].content, f"That is no answer: {why}. Answer once more."
                prompt = [*prompt, {"role": "assistant", "content": answered}, {"role": "user", "content": again}]
        return Vote(None, why, paid)

    def _cost(self, replies: Sequence[Reply]) -> float | None:
        """In cost units; None where there is no price, or where the endpoint does not tell its tokens."""
        if self.price_per_million_input is None and self.price_per_million_output is None:
            return None
        read, written = self.price_per_million_input or 0.0, self.price_per_million_output or 0.0
        if any(reply.input is None or reply.output is None for reply in replies):
            return None
        return sum(read * (reply.input or 0) + written * (reply.output or 0) for reply in replies) / 1e6
