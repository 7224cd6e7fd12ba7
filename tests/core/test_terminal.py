"""What a terminal would take for a command is shown as text."""

import pytest

from lit_react.core.terminal import plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x9b2J\r", "\\x9b2J\\r"),
        ("gpj.\u202etxt", "gpj.\\u202etxt"),
    ],
)
def test_commands_are_shown(text, shown) -> None:
    assert plain(text) == shown
    assert plain(shown) == shown


@pytest.mark.parametrize("text", ["two\nlines\tand a tab", "naïve 名前", "می\u200cخواهم", "\U0001f469\u200d\U0001f680"])
def test_text_of_all_languages_stays(text) -> None:
    assert plain(text) == text
