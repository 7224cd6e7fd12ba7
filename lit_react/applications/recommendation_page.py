"""One static page: for some users, what they liked, what is shown to them and why. It loads and runs nothing."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lit_react.applications.interactions import Ints

if TYPE_CHECKING:
    from lit_react.applications.recommendation import Shown

RECENT = 8
"""Liked items that are listed, the most recent."""

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
details { border-top: 1px solid #bbb; padding: .5rem 0; }
summary { cursor: pointer; font-weight: 600; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0; border-top: 1px solid #ddd; }
"""


def page(
    titles: Sequence[str],
    users: Sequence[tuple[str, Ints, Sequence[Shown]]],
    everybody: int,
    questions: Ints,
) -> str:
    """The HTML of the page.

    Args:
        titles: of all items.
        users: of each its id, its history of item indices, oldest first, and what is shown.
        everybody: how many users the model learned from.
        questions: items to ask a new user about, in their order.
    """
    first, *others = [_user(titles, *user, everybody) for user in users] or [""]
    asked = "".join(f"<li>{html.escape(titles[item])}</li>" for item in questions.tolist())
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
            '<meta name="viewport" content="width=device-width">',
            f"<title>Recommendations</title>\n<style>{STYLE}</style></head>\n<body><h1>Recommendations</h1>",
            "<p>Each score is a sum of what the items of the history add, of the popularity, of the item's own text, "
            "and of the length of the history. Named are the items that add most.</p>",
            first.replace("<details>", "<details open>", 1),
            *others,
            f"<h2>To ask a new user about</h2>\n<ol>{asked}</ol>\n</body></html>\n",
        ]
    )


def _user(titles: Sequence[str], user: str, history: Ints, shown: Sequence[Shown], everybody: int) -> str:
    """One user, folded."""
    recent = "; ".join(html.escape(titles[item]) for item in history[::-1][:RECENT].tolist())
    liked = f"Liked last: {recent}." if recent else "Has liked nothing yet: the same is shown to everybody new."
    rows = "".join(
        f"<tr><td>{html.escape(titles[one.item])}<td>{_why(titles, one)}<td>{one.likes} of {everybody}</tr>\n"
        for one in shown
    )
    head = "<tr><th>Shown<th>Because of<th>Liked by</tr>"
    return (
        f"<details><summary>User {html.escape(user)}, {len(history)} liked</summary>\n<p>{liked}</p>\n"
        f"<table>{head}\n{rows}</table></details>"
    )


def _why(titles: Sequence[str], shown: Shown) -> str:
    """The items of the history that add most and the popularity where it adds, or else that the text does."""
    reasons = [f"{html.escape(titles[item])} (+{added:.1f})" for item, added in shown.reasons]
    if shown.popular > 0:
        reasons.append(f"popularity (+{shown.popular:.1f})")
    return "; ".join(reasons) or "its text alone"
