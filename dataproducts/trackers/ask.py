"""Asking a tracker's server over HTTP; no token is in any error, and none goes where a server sends us."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from dataproducts.trackers.ticket import Ticket, TicketGoneError, TrackerError

if TYPE_CHECKING:
    from collections.abc import Mapping

PAGE = 100
"""How many tickets a server lists at a time."""

_TIMEOUT_S = 10
_TOLD = 300  # characters of an answer that an error repeats
_GONE = {404, 410}


class _Stay(HTTPRedirectHandler):
    """Goes nowhere else: the token would go along, and a POST would arrive as a GET."""

    def redirect_request(self, *_: Any) -> None:
        """Return none, so that the redirection is an error."""


_OPENER = build_opener(_Stay)


def secret(variable: str) -> str:
    """Return the value of an environment variable, without blanks around it. Raises: TrackerError, if it is not set."""
    value = os.environ.get(variable, "").strip()
    if not value:
        raise TrackerError(f"the environment variable {variable}, which holds the tracker's token, is not set.")
    return value


def ask(
    method: str, url: str, headers: Mapping[str, str], data: Mapping[str, Any] | None, *, of_ticket: bool = False
) -> Any:
    """Return the JSON that a server answers; None where it answers nothing, or something else.

    Raises:
        TicketGoneError: the server does not know the address, which is `of_ticket`.
        TrackerError: it cannot be reached, or refuses.
    """
    place = f"{method} {url.partition('?')[0]}"
    if urlsplit(url).scheme not in {"http", "https"}:
        raise TrackerError(f"{place}: the address of a tracker begins with http:// or https://.")
    text = json.dumps(data).encode() if data is not None else None
    every = {"Content-Type": "application/json", "User-Agent": "dataproducts", **headers}
    asked = Request(url, data=text, headers=every, method=method)  # noqa: S310 - the scheme was looked at
    try:
        with _OPENER.open(asked, timeout=_TIMEOUT_S) as answer:
            said = answer.read()
    except HTTPError as error:
        why = b""
        with suppress(OSError, HTTPException):
            why = error.read()
        kind = TicketGoneError if of_ticket and error.code in _GONE else TrackerError
        raise kind(f"{place}: {error.code} {why[:_TOLD].decode(errors='replace')}".rstrip()) from error
    except (OSError, HTTPException) as error:
        raise TrackerError(f"{place}: {getattr(error, 'reason', error) or type(error).__name__}") from error
    except ValueError:  # its text, and that of what it came from, quotes the header
        raise TrackerError(
            f"{place}: the server cannot be asked: its token or its address holds what no header can: a line's end, or "
            "a letter of another script."
        ) from None
    try:
        return json.loads(said)
    except ValueError:
        return None


def entries(facts: Any) -> list[dict[str, Any]]:
    """Return the tickets of a list that a server answered."""
    return [entry for entry in facts if isinstance(entry, dict)] if isinstance(facts, list) else []


def ticket_of(facts: Any, number: str, address: str) -> Ticket:
    """Return the ticket that a server answered. Raises: TrackerError, if it has no number."""
    if not isinstance(facts, dict) or not str(facts.get(number) or ""):
        raise TrackerError(f"the answer of the tracker has no {number!r}: {str(facts)[:_TOLD]}")
    return Ticket(str(facts[number]), str(facts.get(address) or ""))
