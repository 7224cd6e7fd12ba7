"""People who label in Label Studio."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from lit_react.annotation.desk import Desk
from lit_react.annotation.label_studio_forms import (
    answer_of,
    described,
    grown,
    label_config,
    needed,
    prediction,
    tag_for,
)
from lit_react.annotation.label_studio_server import Server, ServerAway
from lit_react.annotation.oracles import Answer, Oracle, Question
from lit_react.core.errors import UserError

log = logging.getLogger("lit_react")

RUN, QUESTION = "lit_react_run", "lit_react_id"
"""Fields of a task that say which run asks, and what."""

BATCH = 250
"""Tasks in one import, or on one page; a busy server on two cores imports so many in a second."""

MARGIN = timedelta(seconds=10)
"""By how much a look at the server overlaps the last one: what is committed late has an earlier time."""


class LabelStudio(Oracle):
    """Asks people in a project of a Label Studio server.

    The project is made if none has its title; one that is there must have a tag by which the questions can be answered.
    Texts are imported in the order of their worth, each once, with what the last model thinks of them as a prediction.
    An annotation is the answer of its user: a cancelled one is a skip, a changed one a correction, a deleted one is
    taken back; one that means nothing is told of and waits to be mended. Nothing is deleted on the server. Runs may
    share a project. The token, a personal access token or a legacy one, is read from `LABEL_STUDIO_API_KEY`.

    Args:
        project: title of the project.
        url: of the server.
        wait: wait for the annotations; else the run ends, and the same command goes on with what is there by then.
        poll_seconds: between two looks at the server.
    """

    def __init__(
        self, project: str, url: str = "http://localhost:8080", wait: bool = True, poll_seconds: float = 5.0
    ) -> None:
        self.url, self.project, self.wait, self.poll_seconds = url.rstrip("/"), project, wait, poll_seconds
        self._users: dict[int, str] = {}
        self._seen: dict[int, str] = {}  # task → when it had changed
        self._task_of: dict[str, int] = {}
        self._since: datetime | None = None
        self._found: Mapping[str, Any] | None = None

    def open(self, folder: Path, desk: Desk) -> None:
        """See that the server takes the token, and take the corrections of what was answered before.

        Raises:
            UserError: it does not, or there is none.
        """
        self._desk, self._server = desk, Server(self.url)
        self._read_users()
        if asked := desk.asked():
            self._found = self._look_up(asked[0].question)
            for answer in self._changes():
                desk.take([answer])

    def label(self, questions: Sequence[Question]) -> Iterator[Answer]:
        """Import what is not there yet, and give what people have answered; all of it, if the run waits.

        While it waits, a server that goes away is told of and asked again.
        """
        self._import(questions)
        last = max(question.round for question in questions)
        if self.wait:
            log.info("round %d: %d texts wait for annotations in %s", last, len(questions), self._page)
        away = ""
        while True:
            try:
                yield from self._changes()
                away = ""
            except ServerAway as error:
                if not self.wait:
                    raise
                if str(error) != away:
                    log.warning("%s; trying again", error)
                away = str(error)
            if not self.wait or not self._desk.waiting(round=last):
                return
            time.sleep(self.poll_seconds)

    def waiting(self, round: int, answered: int, asked: int) -> str:
        """Say where the project is."""
        there = f"round {round}: {answered} of {asked} labels are there"
        return f"{there}; give the others in {self._page}, then run the same command again"

    @property
    def _page(self) -> str:
        return f"{self.url}/projects/{self._found['id']}/data" if self._found else self.url

    # ---- the project ----------------------------------------------------------------------------------------

    def _look_up(self, question: Question) -> Mapping[str, Any] | None:
        """The project of that title, with names that joined since it was made; None where there is none.

        Raises:
            UserError: the question cannot be answered there.
        """
        listed = self._server.get("/api/projects/", title=self.project, page_size=1000)["results"]
        found = next((each for each in sorted(listed, key=lambda p: p["id"]) if each["title"] == self.project), None)
        if found is None:
            return None
        parsed = found["parsed_label_config"]
        if config := grown(question, found["label_config"], parsed) if parsed else label_config(question):
            found = self._server.patch(f"/api/projects/{found['id']}/", {"label_config": config})
            parsed = found["parsed_label_config"]
        if tag_for(question, parsed) is None:
            raise UserError(
                f"rounds.oracle.project: {self.project!r} of {self.url} has {described(parsed)}: expected "
                f"{described(needed(question))}; give another title, and that project is made"
            )
        return found

    def _create(self, question: Question, annotators: int) -> Mapping[str, Any]:
        return self._server.post(
            "/api/projects/",
            {
                "title": self.project,
                "label_config": label_config(question),
                "maximum_annotations": annotators,
                "sampling": "Sequential sampling",  # the most worth first
                "skip_queue": "IGNORE_SKIPPED",  # a skip is an answer
            },
        )

    def _import(self, questions: Sequence[Question]) -> None:
        """Make tasks of the questions that have none, and let each have as many annotators as it wants."""
        wanted = {asked.question.id: asked.wanted for asked in self._desk.asked()}
        most = max(wanted[question.id] for question in questions)
        self._found = self._look_up(questions[0]) or self._create(questions[0], most)
        there = {task["data"][QUESTION] for task in self._tasks(include="id,data")}
        new = [question for question in questions if question.id not in there]
        for first in range(0, len(new), BATCH):
            tasks = [self._task(question) for question in new[first : first + BATCH]]
            self._server.post(f"/api/projects/{self._found['id']}/import", tasks)
        for task in self._tasks(include="id,data,overlap") if most > 1 else ():
            if task["overlap"] < wanted.get(task["data"][QUESTION], 1):
                self._server.patch(f"/api/tasks/{task['id']}/", {"overlap": wanted[task["data"][QUESTION]]})

    def _task(self, question: Question) -> dict[str, Any]:
        shown = {
            name: value.replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) else value
            for name, value in question.shown.items()
            if name not in ("labels", "tokens")
        }
        guess = prediction(question, *self._tag(question))
        data = shown | {RUN: self._desk.run, QUESTION: question.id}
        return {"data": data, "predictions": [guess] if guess else []}

    def _tag(self, question: Question) -> tuple[str, str]:
        assert self._found is not None, "label or open finds it"
        found = tag_for(question, self._found["parsed_label_config"])
        assert found is not None, "_look_up has seen to it"
        return found

    # ---- annotations ----------------------------------------------------------------------------------------

    def _tasks(self, since: datetime | None = None, **fields: str) -> Iterator[dict[str, Any]]:
        """Those of this run, in the order of the import; those that changed at a time or later."""
        if self._found is None:
            return
        rules = [_rule(f"data.{RUN}", "equal", self._desk.run, "String")]
        if since is not None:
            rules.append(_rule("updated_at", "greater_or_equal", since.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "Datetime"))
        query = {"filters": {"conjunction": "and", "items": rules}, "ordering": ["tasks:id"]}
        options = {"project": self._found["id"], "query": json.dumps(query), "page_size": BATCH, **fields}
        read, total, page = 0, 1, 1
        while read < total:
            given = self._server.get("/api/tasks/", page=page, **options)
            yield from given["tasks"]
            read, total, page = page * BATCH, given["total"], page + 1

    def _changes(self) -> Iterator[Answer]:
        """What was annotated, changed or deleted since the last look."""
        listed = self._tasks(
            self._since, fields="all", omit="predictions,drafts,annotations_results,predictions_results"
        )
        tasks = [task for task in listed if self._seen.get(task["id"]) != task["updated_at"]]
        for task in tasks:
            if self._task_of.setdefault(task["data"][QUESTION], task["id"]) == task["id"]:  # else a copy of the user's
                yield from self._answers(task)
            self._seen[task["id"]] = task["updated_at"]
            changed = datetime.fromisoformat(task["updated_at"]) - MARGIN
            self._since = max(changed, self._since or changed)

    def _answers(self, task: Mapping[str, Any]) -> Iterator[Answer]:
        try:
            asked = self._desk.find(task["data"][QUESTION])
        except KeyError:  # the folder is an older copy of the run's
            return
        question, given = asked.question, dict[str, dict[str, Any]]()
        for annotation in sorted(task["annotations"], key=lambda each: str(each["updated_at"])):
            given[self._user(annotation["completed_by"])] = annotation
        for who in asked.answers.keys() & {*self._users.values()} - given.keys():
            yield Answer(question.id, annotator=who, undo=True)
        for who, annotation in given.items():
            try:
                label = None
                if not annotation["was_cancelled"]:
                    label = answer_of(question, annotation["result"], self._tag(question)[0])
                    question.parse(label)
            except (TypeError, ValueError) as error:
                log.warning("%s?task=%d: the annotation of %s: %s", self._page, task["id"], who, error)
                continue
            yield Answer(question.id, label, who, seconds=annotation["lead_time"])

    def _user(self, number: int | None) -> str:
        """Email of a user."""
        if number is None:
            return self.annotator
        if number not in self._users:
            self._read_users()
        return self._users.setdefault(number, f"user {number}")

    def _read_users(self) -> None:
        for user in self._server.get("/api/users/"):
            self._users[user["id"]] = user["email"] or user["username"] or f"user {user['id']}"


def _rule(field: str, operator: str, value: str, kind: str) -> dict[str, str]:
    return {"filter": f"filter:tasks:{field}", "operator": operator, "value": value, "type": kind}
