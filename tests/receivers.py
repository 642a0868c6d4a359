"""Receivers of notices on loopback: a real SMTP server and a real HTTP server, which can fail, wait and go away."""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import contextmanager
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from aiosmtpd.controller import Controller

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import EmailMessage


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Web:
    """An HTTP server that keeps what is posted to it: the JSON that came, with the headers under `headers`.

    It answers with `status`, after `pause` seconds; what it does not answer with 2xx it has still `seen`.
    """

    def __init__(self, port: int = 0) -> None:
        """Listen on `port`, or on a free one."""
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with web.turn:
                    web.seen.append(body | {"headers": dict(self.headers), "path": self.path})
                web.hold.wait(web.pause)
                self.send_response(web.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.seen: list[dict] = []
        self.status, self.pause = 204, 0.0
        self.turn, self.hold = threading.Lock(), threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def url(self, path: str = "hook") -> str:
        """Return its address as apprise writes it."""
        return f"json://127.0.0.1:{self.port}/{path}"

    def keys(self) -> list[str]:
        """Return the idempotency keys that came, in order."""
        return [one["idempotency_key"] for one in self.seen]

    def wait_for(self, count: int, seconds: float = 20) -> None:
        """Return once `count` posts came. Raises: AssertionError, after `seconds`."""
        end = time.monotonic() + seconds
        while len(self.seen) < count:
            assert time.monotonic() < end, f"{len(self.seen)} of {count} came"
            self.hold.wait(0.02)

    def close(self) -> None:
        """Go away."""
        self.hold.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def web(port: int = 0) -> Iterator[Web]:
    """Serve HTTP for a while."""
    server = Web(port)
    try:
        yield server
    finally:
        server.close()


class Mail:
    """What an SMTP server took, as e-mail messages with the recipients of the envelope."""

    def __init__(self) -> None:
        """Have taken nothing."""
        self.taken: list[tuple[list[str], EmailMessage]] = []
        self.refusal = ""

    async def handle_DATA(self, _server, _session, envelope) -> str:  # noqa: N802 - aiosmtpd's name
        """Take a message, or refuse it."""
        if self.refusal:
            return self.refusal
        self.taken.append((envelope.rcpt_tos, message_from_bytes(envelope.content, policy=policy.default)))
        return "250 OK"


@contextmanager
def mail(port: int) -> Iterator[Mail]:
    """Serve SMTP for a while."""
    kept = Mail()
    server = Controller(kept, hostname="127.0.0.1", port=port)
    server.start()
    try:
        yield kept
    finally:
        server.stop()
