"""The command metrics: figures for Prometheus; it must not know where they come from."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dataproducts.cli.project import open_project
from dataproducts.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dataproducts.environment import Environment


@click.command(short_help="Give figures to Prometheus.")
@click.option("--serve", "port", type=click.IntRange(0, 65535), help="Answer on this port until stopped; 0 takes any.")
@click.option("--address", help="Where to answer.  [default: 127.0.0.1]")
@click.option("--textfile", type=click.Path(path_type=Path), help="Write them to this file, which is replaced.")
@click.pass_obj
def metrics(obj: tuple[Path, str | None], port: int | None, address: str | None, textfile: Path | None) -> None:
    """Print figures of releases, refreshes, incidents, notices, error budgets and costs as Prometheus reads them.

    Everyone who can reach the address may read them: they name products, never values.
    """
    if textfile and port is not None:
        raise UsageError("--serve and --textfile exclude each other: name one.")
    if address and port is None:
        raise UsageError("--address says where --serve answers: add --serve PORT.")
    from dataproducts import metrics as figures  # noqa: PLC0415 - SQLAlchemy takes 0.15 s

    environment = open_project(obj[0], environment=obj[1]).environment
    if port is not None:
        _serve(environment, port, address or "127.0.0.1")
    elif textfile:
        figures.write_textfile(environment, textfile)
        click.echo(f"wrote {textfile}")
    else:
        click.echo(figures.text(environment), nl=False)


def _serve(environment: Environment, port: int, address: str) -> None:
    from dataproducts.metrics import served  # noqa: PLC0415 - SQLAlchemy takes 0.15 s

    stop = threading.Event()

    def stopped(_number: int, _frame: Any) -> None:
        stop.set()

    before = {number: signal.signal(number, stopped) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with served(environment, port=port, address=address) as chosen:
            click.echo(f"serving on http://{address}:{chosen}/metrics")
            stop.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


COMMANDS: Sequence[click.Command] = (metrics,)
"""Commands of this module, for the command line to add."""
