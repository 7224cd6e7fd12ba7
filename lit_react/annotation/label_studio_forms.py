"""How Label Studio asks each kind of question, and what its annotations say: no network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

from lit_react.annotation.oracles import Question

NAME = "label"
"""Of the tag by which people answer."""

ITEMS = {"Choices": "Choice", "Labels": "Label"}
"""Tag → that of one of its names."""

LARGE = 20
"""Names from which on they are a list to search in, not buttons."""

Values = Sequence[Mapping[str, Any]]
"""What the results of one annotation say, as Label Studio has it."""


@dataclass(frozen=True)
class Control:
    """By what people answer a kind of question.

    Attributes:
        tag: of the label config.
        read: (values of an annotation, question) → answer as people write it; ValueError where it is none.
        about: field of the question that the tag is about.
        options: attributes of the tag.
        names: what there is to choose from; None: what the question shows.
    """

    tag: str
    read: Callable[[Values, Question], Any]
    about: str = "text"
    options: Mapping[str, str] = field(default_factory=dict)
    names: Sequence[str] | None = None


def _chosen(values: Values, question: Question) -> list[str]:
    return [name for value in values for name in value.get("choices", ())]


def _one_chosen(values: Values, question: Question) -> Any:
    names = _chosen(values, question)
    return names[0] if len(names) == 1 else names


def _word_spans(values: Values, question: Question) -> list[dict[str, Any]]:
    """Spans of words that are touched by those of characters."""
    places, at = list[tuple[int, int]](), 0
    for token in question.shown["tokens"]:
        at = question.text.index(token, at) + len(token)
        places.append((at - len(token), at))
    spans = []
    for value in sorted(values, key=lambda value: value["start"]):
        start, end, names = value["start"], value["end"], value["labels"]
        inside = [word for word, (first, after) in enumerate(places) if first < end and after > start]
        if not inside:
            raise ValueError(f"a span from {start} to {end} has no word in it")
        spans.append({"start": inside[0], "end": inside[-1] + 1, "label": names[0] if len(names) == 1 else names})
    return spans


def _one_span(values: Values, question: Question) -> dict[str, Any]:
    if len(values) != 1:
        raise ValueError(f"{len(values)} spans are marked: expected one")
    start, end = values[0]["start"], values[0]["end"]
    return {"text": question.shown["context"][start:end], "start": start}


def _written(values: Values, question: Question) -> Any:
    given = [value["text"] for value in values]
    texts = [text for each in given for text in ([each] if isinstance(each, str) else each)]
    return texts[0] if len(texts) == 1 else texts


CONTROLS = {
    "class": Control("Choices", _one_chosen, options={"choice": "single", "required": "true"}),
    "classes": Control("Choices", _chosen, options={"choice": "multiple"}),
    "spans": Control("Labels", _word_spans),
    "span": Control("Labels", _one_span, about="context", names=("answer",)),
    "text": Control("TextArea", _written, options={"rows": "4", "editable": "true", "required": "true"}, names=()),
}
"""Form of a question (see `Question.form`) → by what it is answered."""


def control_of(question: Question) -> Control:
    """By what a question is answered; a class that has no name yet is written."""
    return CONTROLS["text" if question.form == "class" and not question.labels else question.form]


def names_of(question: Question) -> list[str]:
    """What there is to choose from in Label Studio."""
    names = control_of(question).names
    return question.labels if names is None else list(names)


def label_config(question: Question) -> str:
    """The label config, XML, of a project for questions of this kind.

    Label Studio would take `$word` within a name for a field of the task: it is shown with another dollar sign.
    """
    control, names = control_of(question), names_of(question)
    view = ElementTree.Element("View")
    for shown in dict.fromkeys(["text", control.about]):
        ElementTree.SubElement(view, "Text", name=shown, value=f"${shown}")
    layout = {} if control.tag != "Choices" else {"layout": "select"} if len(names) >= LARGE else {"showInline": "true"}
    options = {"name": NAME, "toName": control.about, **control.options, **layout}
    _add(ElementTree.SubElement(view, control.tag, options), names)
    return ElementTree.tostring(view, encoding="unicode")


def _add(tag: ElementTree.Element, names: Sequence[str]) -> None:
    for name in names:
        alias = {"alias": name} if "$" in name else {}
        shown = name.replace("$", "\N{FULLWIDTH DOLLAR SIGN}")
        ElementTree.SubElement(tag, ITEMS[tag.tag], {"value": shown, **alias})


def tag_for(question: Question, parsed: Mapping[str, Any]) -> tuple[str, str] | None:
    """Name of a tag by which a question can be answered, and that of what the tag is about; None: there is none.

    Args:
        question: what is asked.
        parsed: the label config as Label Studio has parsed it; it may have other tags and more names.
    """
    names = set(names_of(question))
    fit = (name for name, tag in _of_kind(question, parsed) if names <= set(tag["labels"]))
    name = next(fit, None)
    return None if name is None else (name, parsed[name]["to_name"][0])


def grown(question: Question, config: str, parsed: Mapping[str, Any]) -> str | None:
    """A label config with the names that joined since it was made; None: it has names of its own, or no such tag.

    Args:
        question: what is asked.
        config: XML.
        parsed: what Label Studio has parsed of it.
    """
    names = names_of(question)
    for name, tag in _of_kind(question, parsed):
        if set(tag["labels"]) < set(names):
            view = ElementTree.fromstring(config)
            for found in view.iter(tag["type"]):
                if found.get("name") == name:
                    _add(found, [each for each in names if each not in tag["labels"]])
            return ElementTree.tostring(view, encoding="unicode")
    return None


def _of_kind(question: Question, parsed: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The tags by which such questions are answered, whatever their names are."""
    control = control_of(question)
    for name, tag in parsed.items():
        if tag["type"] == control.tag and [given.get("value") for given in tag["inputs"]] == [control.about]:
            yield name, tag


def described(parsed: Mapping[str, Any]) -> str:
    """A label config in a few words, such as `Choices of sport, business about $text`."""
    told = []
    for tag in parsed.values():
        names = ", ".join(tag["labels"][:10]) + (", …" if tag["labels"][10:] else "")
        about = ", ".join(f"${given.get('value')}" for given in tag["inputs"])
        told.append(f"{tag['type']}{f' of {names}' if names else ''} about {about}")
    return "; ".join(told) or "nothing"


def needed(question: Question) -> dict[str, Any]:
    """What Label Studio would parse of `label_config`."""
    control = control_of(question)
    return {NAME: {"type": control.tag, "inputs": [{"value": control.about}], "labels": names_of(question)}}


def answer_of(question: Question, result: Sequence[Mapping[str, Any]], tag: str = NAME) -> Any:
    """What an annotation says, as people write it.

    Args:
        question: what was asked.
        result: of the annotation.
        tag: name of the tag that counts; what others say is left out.

    Raises:
        ValueError: it is no answer.
    """
    return control_of(question).read([each["value"] for each in result if each.get("from_name") == tag], question)


def prediction(question: Question, tag: str, about: str) -> dict[str, Any] | None:
    """What the last model thinks of a question, as Label Studio takes it; None: it is not known.

    Args:
        question: what is asked, with `suggestions`.
        tag: name of the tag by which it is answered.
        about: name of the one that it is about.
    """
    guesses = question.suggestions
    if control_of(question).tag != "Choices" or not guesses:
        return None
    likeliest = next(iter(guesses))
    names = [likeliest] if question.form == "class" else [name for name, share in guesses.items() if share > 0.5]
    result = {"from_name": tag, "to_name": about, "type": "choices", "value": {"choices": names}}
    return {"model_version": f"round {question.round - 1}", "score": guesses[likeliest], "result": [result]}
