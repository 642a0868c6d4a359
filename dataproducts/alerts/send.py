"""Sending one notice through one channel: apprise's services, a file of JSON lines, or nowhere.

It must not know the outbox. What a channel's address holds is in no error and no log, since it may be a secret.
"""

from __future__ import annotations

import json
import logging
import os
import re
import warnings
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

from dataproducts.alerts.message import clean
from dataproducts.errors import DataProductError, UsageError

if TYPE_CHECKING:
    from dataproducts.directory import Channel, Directory
    from dataproducts.operations.outbox import Notice

_FILE = "file:"
_TAKES_FACTS = ("json", "jsons", "xml", "xmls", "form", "forms")
_MAIL = ("mailto", "mailtos")
_TAKES_HEADERS = (*_TAKES_FACTS, *_MAIL)
_CONNECT_S, _READ_S, _MAIL_S = 5, 10, 20
_SHORTEST_SECRET = 3


class SendError(DataProductError, RuntimeError):
    """A notice that a channel did not take; the message holds nothing of the channel's address."""


def through(directory: Directory, notice: Notice) -> Channel:
    """Return the channel that `notice` names. Raises: SendError, if the directory has it no more."""
    recipient = directory.recipient(notice.recipient)
    for channel in recipient.channels if recipient else ():
        if channel.name == notice.channel:
            return channel
    raise SendError(f"the directory has no channel {notice.channel!r} of {notice.recipient!r} any more")


def send(channel: Channel, notice: Notice) -> None:
    """Send `notice` through `channel`; that it returns means that the receiver took it.

    Raises:
        SendError: the receiver is unreachable, slow, or refused it.
    """
    scheme = channel.url.split(":", 1)[0].lower()
    if scheme == "none":
        return
    if scheme == "file":
        # A slash in a recipient's address must not lead to another folder.
        path = unquote(channel.url[len(_FILE) :].removeprefix("//").replace("%2F", "%252F"))
        _append(Path(path), notice)
        return
    try:
        _through_apprise(channel.url, scheme, notice)
    except SendError:
        raise
    # Process edge: a plugin of apprise may raise anything, and its message may hold the address.
    except Exception as error:  # noqa: BLE001 - as above
        raise SendError(discreet(f"{type(error).__name__}: {error}", channel.url)) from None


def check(channel: Channel) -> None:
    """Refuse an address that cannot be used, before anything depends on it.

    Raises:
        UsageError: no service of apprise reads it, or apprise is not installed.
    """
    scheme = channel.url.split(":", 1)[0].lower()
    if scheme not in {"none", "file"} and _apprise().Apprise.instantiate(channel.url) is None:
        raise UsageError(
            f"channel {channel.name!r}: apprise cannot use its URL, which begins with {scheme}: (the rest is not "
            "shown). See apprise's documentation of that service."
        )


def discreet(said: str, url: str) -> str:
    """Return what a service said in one line, without anything of `url` but its scheme, host and port."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "the channel's URL cannot be read"
    kept = {parts.scheme, (parts.hostname or "") if parts.scheme in _TAKES_HEADERS else ""}
    # Tokens stand anywhere in addresses of apprise: as user, password, path, query, and some as host.
    raw = [parts.username, parts.password, *re.split(r"[/?&=@:+;,#]", url)]
    secrets = {form for text in raw if text for form in (text, unquote(text))}
    line = said.replace(url, "***")
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET and secret not in kept:
            line = re.sub(re.escape(secret), "***", line, flags=re.IGNORECASE)
    return clean(line)


def body_of(notice: Notice) -> str:
    """Return the body as it is sent: with the idempotency key, so that a repeat is known as one."""
    return f"{notice.body}\n\nIdempotency-Key: {notice.key}"


def facts_of(notice: Notice) -> dict[str, Any]:
    """Return what programs get beside subject and body."""
    return {
        "idempotency_key": notice.key,
        "kind": notice.kind,
        "severity": notice.severity,
        "product": notice.product,
        "recipient": notice.recipient,
        **notice.facts,
    }


def _append(path: Path, notice: Notice) -> None:
    line = {"at": notice.created_at.isoformat(), "subject": notice.subject, "body": notice.body, **facts_of(notice)}
    data = (json.dumps(line, ensure_ascii=False, default=str) + "\n").encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            if os.write(file, data) < len(data):
                raise SendError("the file cannot be written whole: is the disk full?")
            os.fsync(file)
        finally:
            os.close(file)
    except OSError as error:
        raise SendError(f"the file cannot be written: {error.strerror}") from None


def _through_apprise(url: str, scheme: str, notice: Notice) -> None:
    apprise = _apprise()
    options = {"cto": str(_CONNECT_S), "rto": str(_READ_S), "overflow": "split"}
    if scheme in _MAIL:
        options["cto"] = str(_MAIL_S)  # of apprise's mail, this is for each answer
    if scheme in _TAKES_HEADERS:
        options["+X-Idempotency-Key"] = notice.key
    if scheme in _TAKES_FACTS:
        options |= {f":{name}": str(value) for name, value in facts_of(notice).items() if value not in ("", None)}
    given = {name for name, _ in re.findall(r"[?&]([^=&]+)=([^&]*)", url)}
    added = "&".join(f"{quote(k, safe='+:')}={quote(v, safe='')}" for k, v in options.items() if k not in given)
    service = apprise.Apprise()
    if not service.add(f"{url}{'&' if '?' in url else '?'}{added}"):
        raise SendError("apprise cannot use the channel's URL: see `dataproducts notices test`")
    types = {"error": "failure", "warning": "warning"}
    kind = "success" if notice.kind == "recovered" else types.get(notice.severity, "info")
    result = service.notify(title=notice.subject, body=body_of(notice), notify_type=kind, body_format="text")
    if not result:
        said = [str(entry.message) for one in result for attempt in one for entry in attempt.logs]
        raise SendError(discreet("; ".join(said) or "the service did not take it, and said nothing", url))


@cache
def _apprise() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # apprise 2.2 reads a module that Python deprecates
            import apprise  # noqa: PLC0415 - 0.2 s, and only where something is sent

            apprise.Apprise.instantiate("json://localhost")  # which loads every plugin
    except ImportError as error:
        raise UsageError(
            "notices are sent by apprise, which is not installed: pip install 'dataproducts[alerts]', "
            "or use channels of file: or none: alone."
        ) from error
    # At their lowest level these name addresses, tokens included, whatever the caller's own level is.
    for name in ("apprise", "urllib3.connectionpool"):
        logger = logging.getLogger(name)
        logger.setLevel(max(logger.level, logging.WARNING))
        logger.addHandler(logging.NullHandler())
        logger.propagate = name != "apprise"
    return apprise
