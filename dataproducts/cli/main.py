"""`dataproducts`: the commands and how each ends; it must not print what a command found."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from pathlib import Path
from typing import Any

import click

from dataproducts.cli import (
    alerts,
    changes,
    check,
    declare,
    explore,
    history,
    incidents,
    lifecycle,
    metrics,
    models,
    produce,
    quarantine,
    reports,
    slo,
    status,
    watch,
)
from dataproducts.errors import DataProductError, DeclarationError, StoreError, UsageError

REFUSED, UNABLE = 1, 2


class _Commands(click.Group):
    """Commands whose errors become one message and an exit code, never a traceback."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command. Exit codes: 0 good, 1 refused or invalid, 2 could not run."""
        # Imports make hundreds of thousands of objects that live until the end: looking for garbage among them again
        # and again took a tenth of a small build.
        gc.set_threshold(100_000, 20, 100)
        try:
            return super().main(*args, **kwargs)
        except DeclarationError as error:
            count = len(error.faults)
            click.echo(f"{error}\n\n{count} {'fault' if count == 1 else 'faults'}.", err=True)
            sys.exit(REFUSED)
        except (StoreError, UsageError) as error:
            click.echo(f"dataproducts: {error}", err=True)
            sys.exit(UNABLE)
        except DataProductError as error:
            click.echo(f"dataproducts: {error}", err=True)
            sys.exit(REFUSED)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "-C", "--project", type=click.Path(path_type=Path), default=Path(), help="The project, if not the current folder."
)
@click.option("--env", "environment", help="The environment, as resources/ knows it. Default: its own default.")
@click.version_option(package_name="dataproducts")
@click.pass_context
def main(context: click.Context, project: Path, environment: str | None) -> None:
    """Data products that can be trusted: declared in files, gated by their rules, released all or nothing.

    Products are addressed as DOMAIN/PRODUCT. Exit codes: 0 good, 1 refused or invalid, 2 could not run.
    """
    context.obj = (project, environment)


for command in (
    *declare.COMMANDS,
    *changes.COMMANDS,
    *check.COMMANDS,
    *models.COMMANDS,
    *explore.COMMANDS,
    *produce.COMMANDS,
    *reports.COMMANDS,
    *history.COMMANDS,
    *status.COMMANDS,
    *slo.COMMANDS,
    *lifecycle.COMMANDS,
    *incidents.COMMANDS,
    *alerts.COMMANDS,
    *metrics.COMMANDS,
    *watch.COMMANDS,
    *quarantine.COMMANDS,
):
    main.add_command(command)


def run() -> None:
    """Run a command as a process of its own, which ends without taking apart what ends with it.

    Python would release a quarter of a million objects one by one first; files are closed and locks given back by then.
    """
    code: str | int | None = 0
    try:
        main()
    except SystemExit as end:
        code = end.code
    if isinstance(code, str):
        click.echo(code, err=True)
    atexit._run_exitfuncs()  # noqa: SLF001 - no other way to let libraries clean up before the process is gone
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))
