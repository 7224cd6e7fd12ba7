"""What comes from files is shown as text: a terminal would take parts of it for commands."""

from __future__ import annotations

import logging
import re

COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters but tab and line end, and those that turn the direction of writing."""


def plain(text: object) -> str:
    """A text with control characters as escapes: no colours, no moved cursor, no renamed window."""
    return COMMANDS.sub(lambda found: found[0].encode("unicode_escape").decode(), str(text))


def plain_record(record: logging.LogRecord) -> bool:
    """A filter that lets every line of a log through, as plain text."""
    record.msg, record.args = plain(record.getMessage()), None
    return True
