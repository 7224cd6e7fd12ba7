"""Alerts to a server, from a thread of their own: the stream never waits, and what is not taken is sent again later."""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from lit_react.applications.monitor_file import connect
from lit_react.core.errors import UserError

log = logging.getLogger("lit_react")

TIMEOUT = 5.0
"""Seconds until a request counts as lost."""

WAITS = (1.0, 300.0)
"""Seconds until a lost request is sent again: the first time, and the most, as they double."""

LAST = 10.0
"""Seconds that the end of a command waits for what was not sent yet."""


class Webhook:
    """Posts each alert as JSON, by its `id`, until the server says 2xx; it may get one twice, and never a post's text.

    Redirects are not followed: nothing goes to another host.

    Args:
        file: of the monitor; what was sent is noted there.
        url: of the server, http or https.
    """

    def __init__(self, file: Path, url: str) -> None:
        self.file, self.url, self.host = file, url, _host(url)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Send what is left, within `LAST` seconds; the next command of the folder sends the rest."""
        self._ending.set()
        self._thread.join(LAST)

    def _run(self) -> None:
        db, wait = connect(self.file), WAITS[0]
        with httpx.Client(timeout=TIMEOUT) as client:
            while True:
                last = self._ending.is_set()  # asked before the look, so that what came until then is seen
                rows = db.execute("SELECT id, alert FROM alerts WHERE NOT sent ORDER BY id").fetchall()
                lost = False
                for number, alert in rows:
                    try:
                        client.post(self.url, json=json.loads(alert)).raise_for_status()
                        db.execute("UPDATE alerts SET sent = 1 WHERE id = ?", (number,))
                    except (httpx.HTTPError, httpx.InvalidURL, sqlite3.OperationalError) as error:
                        why = type(error).__name__  # no more, as addresses often have a secret
                        log.warning("webhook: alert %d is sent to %s again: %s", number, self.host, why)
                        lost = True
                        break
                if last:
                    break
                wait = min(2 * wait, WAITS[1]) if lost else WAITS[0]
                self._ending.wait(wait)
        db.close()


def _host(url: str) -> str:
    """The host of an address; an error does not repeat what may be a secret in it."""
    try:
        parts = urlsplit(url)
        if parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0 and url.isprintable():
            return parts.hostname
    except ValueError:  # of the port, or of brackets
        pass
    raise UserError("webhook: expected an http or https address with a host, and maybe a port of 1 to 65535")
