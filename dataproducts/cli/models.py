"""Commands between contracts and models of other libraries: export, import; it must not judge rows or load dagster."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import click

from dataproducts.errors import SourceError, UnknownNameError, UsageError

if TYPE_CHECKING:
    from types import ModuleType

    from dataproducts.product import Table

OUTPUT = click.option("--output", type=click.Path(path_type=Path), help="A new file to write, instead of printing.")


@click.group("export", short_help="Write a contract as a model of another library.")
def export() -> None:
    """Write a contract as a model of another library."""


@export.command("pandera", short_help="Print a pandera schema as Python source.")
@click.argument("contract", type=click.Path(path_type=Path))
@click.option("--table", help="The table of the contract, where it has several.")
@click.option("--backend", type=click.Choice(["pandas", "polars"]), default="pandas", help="Whose frames it judges.")
@OUTPUT
def export_pandera(contract: Path, table: str | None, backend: str, output: Path | None) -> None:
    """Print Python source whose `schema` is the pandera schema of a contract's table.

    The source needs pandera, pyarrow and the library of the frames, and nothing of this package.
    """
    from dataproducts.load import load_contract  # noqa: PLC0415 - reads the standards: only here

    chosen = _choose(load_contract(contract), table, contract)
    from dataproducts.frames import pandera_source  # noqa: PLC0415 - pyarrow takes a second to import

    _give(pandera_source(chosen, backend=backend), output)


@click.group("import", short_help="Draft a contract from a model of another library.")
def import_() -> None:
    """Draft a contract from a model of another library."""


@import_.command("pandera", short_help="Print a contract for a pandera model.")
@click.argument("model", metavar="MODULE:NAME")
@click.option("--id", "contract_id", help="The contract's id. Default: the name of the table.")
@click.option("--version", default="0.1.0", show_default=True, help="The contract's version.")
@click.option("--table", help="The table's name. Default: the schema's, else the model's.")
@OUTPUT
@click.pass_obj
def import_pandera(
    obj: tuple[Path, str | None],
    model: str,
    contract_id: str | None,
    version: str,
    table: str | None,
    output: Path | None,
) -> None:
    """Print a contract for a pandera model or schema, named as `package.module:Name` or `path/to/file.py:Name`.

    The module is imported, so its code runs. What the contract cannot say is told in it.
    """
    found = _named(obj[0], model)
    from dataproducts.frames import contract_from_pandera  # noqa: PLC0415 - pandera takes seconds to import

    known = contract_id or table or getattr(found, "__name__", None) or getattr(found, "name", None) or "table"
    _give(contract_from_pandera(found, contract_id=str(known), version=version, name=table), output)


def _choose(tables: tuple[Table, ...], name: str | None, contract: Path) -> Table:
    known = [table.name for table in tables]
    if name is None and len(tables) == 1:
        return tables[0]
    if name is None:
        raise UsageError(f"{contract} has {len(known)} tables. Name one with --table: {', '.join(known)}")
    found = next((table for table in tables if table.name == name), None)
    if found is None:
        raise UnknownNameError(f"table in {contract}", name, known)
    return found


def _named(root: Path, model: str) -> Any:
    """The object that MODULE:NAME names. Raises: UsageError, SourceError, UnknownNameError."""
    place, _, name = model.rpartition(":")
    if not place or not name:
        raise UsageError(f"{model}: name the model as package.module:Name or path/to/file.py:Name")
    module = _module(root, place)
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            raise UnknownNameError(f"name in {place}", name, (n for n in vars(module) if not n.startswith("_")))
        found = getattr(found, part)
    return found


def _module(root: Path, place: str) -> ModuleType:
    path = Path(place)
    is_file = path.suffix == ".py"
    if is_file and not path.is_file():
        raise SourceError(f"{place}: there is no such file")
    folder = str(path.resolve().parent if is_file else root.resolve())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return _run_file(path) if is_file else importlib.import_module(place)
    # Process edge: this is code of the user, which may raise anything, or leave; its author needs the place.
    except (Exception, SystemExit) as error:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(folder)]
        where = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else place
        raise SourceError(f"{where}: {place} cannot be imported: {type(error).__name__}: {error}") from error


def _run_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(spec.name)
    sys.modules[spec.name] = module  # pandera looks the module of a model up to read its annotations
    try:
        spec.loader.exec_module(module)
    finally:
        if before is not None:  # a file may bear the name of a module that is in use
            sys.modules[spec.name] = before
    return module


def _give(text: str, output: Path | None) -> None:
    """Print, or write a file that is not there yet, whole or not at all. Raises: UsageError."""
    if output is None:
        click.echo(text, nl=False)
        return
    half = output.parent / f".{output.name}.{uuid4().hex}"
    try:
        try:
            half.write_text(text, encoding="utf-8")
            output.hardlink_to(half)  # refused where the name is taken, as a rename is not
        finally:
            half.unlink(missing_ok=True)
    except FileExistsError as error:
        raise UsageError(f"{output} exists, and is not overwritten. Name another file, or delete it first") from error
    except OSError as error:
        raise UsageError(
            f"{output} cannot be written: {error.strerror}. Name a file in a folder that is there"
        ) from error
    click.echo(f"✓ wrote {output}")


COMMANDS = (export, import_)
