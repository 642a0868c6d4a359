"""The command that looks for what is wrong and tells whom it concerns; it must not judge any of it."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from pathlib import Path  # noqa: TC003 - click reads the annotations
from typing import TYPE_CHECKING

import click

from dataproducts.cli.project import open_project, use_dagster_home
from dataproducts.cli.show import console, escape
from dataproducts.errors import StoreError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dataproducts.cli.project import Project


@click.command(short_help="Find what is wrong, keep incidents of it, and tell whom it concerns.")
@click.option("--once", is_flag=True, help="Look once and end. The default.")
@click.option("--every", type=click.FloatRange(min=1), metavar="SECONDS", help="Look again and again, so far apart.")
@click.pass_obj
def watch(obj: tuple[Path, str | None], *, once: bool, every: float | None) -> None:
    """Look at every product and its runs, as the sensor of each code location does under Dagster's daemon.

    Both may look at once: what one has told, the other does not tell again. Exit codes: 0 looked, 2 could not.
    """
    if once or every is None:
        for line in _look(open_project(obj[0], environment=obj[1])):
            console().print(line)
        return
    while True:
        begun = time.monotonic()
        try:
            # Files change while one watches, and what they declare now is what counts.
            project = open_project(obj[0], environment=obj[1])
            lines = [f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {line}" for line in _look(project)]
        except (StoreError, UsageError) as error:
            # What cannot be used now may be there again at the next look; nothing is lost meanwhile.
            lines = []
            click.echo(f"dataproducts: {error}", err=True)
        for line in lines:
            console().print(line)
        sys.stdout.flush()
        time.sleep(max(every - (time.monotonic() - begun), 0))


def _look(project: Project) -> list[str]:
    """Look once at each domain, as its code location would, and return what that came to."""
    from dataproducts.compile.build import open_instance  # noqa: PLC0415 - Dagster takes 2 s
    from dataproducts.compile.runtime import Runtime  # noqa: PLC0415 - as above
    from dataproducts.compile.sensor import look  # noqa: PLC0415 - as above

    use_dagster_home(project.root)
    known = {product.address: product for product in project.sound()}
    runtime = Runtime(project.environment, project.custom)
    lines = []
    with open_instance() as instance, runtime.warehouse():
        for domain in sorted({product.domain for product in known.values()}):
            mine = {address: product for address, product in known.items() if product.domain == domain}
            watched = look(instance, mine, runtime, name=domain, known=known)
            lines.append(f"[bold]{escape(domain)}[/] {escape(str(watched))}")
    if project.broken_domains():
        lines.append(
            f"[yellow]not watched, for their files have faults:[/] {', '.join(sorted(project.broken_domains()))}"
        )
    return lines


COMMANDS: Sequence[click.Command] = (watch,)
"""Commands of this module, for the command line to add."""
