"""The network of a Label Studio server: its token, its errors."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Generator
from typing import Any

import httpx

from lit_react.core.errors import UserError

TOKEN = "LABEL_STUDIO_API_KEY"
"""Environment variable with the token."""


class ServerAway(UserError):
    """The server does not answer, or with an error of its own; it may later."""


class Server:
    """Asks a Label Studio server; redirects are not followed, for they would take the token along.

    Args:
        url: of the server.

    Raises:
        UserError: there is no token, or no such address.
    """

    def __init__(self, url: str) -> None:
        try:
            address = httpx.URL(url)
        except httpx.InvalidURL:
            address = httpx.URL()
        if address.scheme not in ("http", "https") or not address.host or address.userinfo:
            raise UserError("rounds.oracle.url: expected the address of a server, such as http://localhost:8080")
        token = os.environ.get(TOKEN, "").strip()
        if not re.fullmatch(r"[\w.-]+", token, re.ASCII):  # an error of the network would show it
            fault = "is no token" if token else "is not set"
            raise UserError(f"{TOKEN} {fault}: expected one of {url} (Account & Settings there)")
        self._url = url
        self._client = httpx.Client(base_url=url, auth=_Token(token, f"{url}/api/token/refresh/"), timeout=120)

    def get(self, path: str, **query: Any) -> Any:
        """What the server has there."""
        return self._ask("GET", path, params=query)

    def post(self, path: str, content: Any) -> Any:
        """Make something; what the server says of it."""
        return self._ask("POST", path, json=content)

    def patch(self, path: str, content: Any) -> Any:
        """Change something; what it is now."""
        return self._ask("PATCH", path, json=content)

    def _ask(self, method: str, path: str, **options: Any) -> Any:
        try:
            response = self._client.request(method, path, **options)
        except (httpx.HTTPError, ValueError, KeyError) as error:
            raise ServerAway(
                f"rounds.oracle.url: {self._url} does not answer: {error or type(error).__name__}"
            ) from None
        try:
            said = response.json()
        except ValueError:
            said = None
        told = f"{response.status_code} {_reason(said) or response.reason_phrase}"
        if response.status_code in (401, 403):
            raise UserError(f"{TOKEN}: {self._url} refuses the token: {told}")
        if response.status_code >= 500:
            raise ServerAway(f"rounds.oracle.url: {self._url} answers {method} {path} with {told}")
        if said is None or not response.is_success:
            raise UserError(
                f"rounds.oracle.url: {self._url} answers {method} {path} with {told}, expected Label Studio's"
            )
        return said


class _Token(httpx.Auth):
    """Signs requests: a legacy token by itself, a personal access token by the short one that it is exchanged for."""

    requires_response_body = True

    def __init__(self, token: str, refresh: str) -> None:
        self._token, self._refresh, self._short = token, refresh, ""

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send it; where the short token has run out, exchange again."""
        if self._token.count(".") != 2:
            request.headers["Authorization"] = f"Token {self._token}"
            yield request
            return
        if self._short:
            request.headers["Authorization"] = f"Bearer {self._short}"
            response = yield request
            if response.status_code != 401:
                return
        exchanged = yield httpx.Request("POST", self._refresh, json={"refresh": self._token})
        if not exchanged.is_success:
            return
        self._short = exchanged.json()["access"]
        request.headers["Authorization"] = f"Bearer {self._short}"
        yield request


def _reason(said: Any) -> str:
    """Label Studio's own words about what is wrong."""
    if not isinstance(said, dict):
        return ""
    wrong = said.get("validation_errors")
    return json.dumps(wrong, ensure_ascii=False)[:300] if wrong else str(said.get("detail") or "")
