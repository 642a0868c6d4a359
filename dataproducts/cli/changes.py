"""`dataproducts changes`: two states of the declarations, read and compared; it must not grade anything itself."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dataproducts.cli.project import find_root
from dataproducts.cli.show import AS_JSON, console, escape, grid, print_json, text
from dataproducts.errors import DeclarationError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dataproducts.changes.model import Change, Graded, Reader, Report
    from dataproducts.changes.states import State
    from dataproducts.errors import Fault

_STYLES = {"breaking": "red", "additive": "green", "neutral": "dim"}
_MARKUP = {ord(sign): f"&#{ord(sign)};" for sign in "\\*[]<>|#@!&~_"}
_BY_CONTRACTS = "for the changes of its contracts"
_WORKING_TREE = "working tree"


@click.command(short_help="Grade what changed between two revisions; refuse what breaks readers.")
@click.argument("base")
@click.argument("head", required=False)
@click.option("--folders", is_flag=True, help="BASE and HEAD are folders, or lone contracts, instead of git revisions.")
@click.option(
    "--as-of", type=click.DateTime(["%Y-%m-%d"]), help="The day by which a sunset has passed. Default: today."
)
@click.option("--markdown", "as_markdown", is_flag=True, help="Print Markdown, for a comment on a pull request.")
@AS_JSON
@click.pass_obj
def changes(
    obj: tuple[Path, str | None],
    base: str,
    head: str | None,
    *,
    folders: bool,
    as_of: datetime | None,
    as_markdown: bool,
    as_json: bool,
) -> None:
    """Grade every change of the declarations from BASE to HEAD, which is the working tree if absent.

    Each change is breaking, additive or neutral to who reads the product. Refused, with exit code 1, is a version that
    moved less far than its changes ask for: above all, a breaking change without a new major version.
    """
    if as_json and as_markdown:
        raise UsageError("--json and --markdown are two forms of one output: choose one")
    from dataproducts.changes.compare import compare  # noqa: PLC0415 - reads the schemas of the standards

    day = as_of.date() if as_of else datetime.now(UTC).date()
    with ExitStack() as held:
        states = _folders(base, head) if folders else _revisions(held, find_root(obj[0].resolve()), base, head)
        report = compare(*states, as_of=day)
    if as_json:
        print_json(_as_json(report))
        sys.exit(1 if report.is_refused else 0)
    if as_markdown:
        click.echo(_markdown(report))
    else:
        _print(report)
    if report.is_refused:
        raise DeclarationError(report.faults)


def _folders(base: str, head: str | None) -> tuple[State, State]:
    from dataproducts.changes.states import read_state  # noqa: PLC0415 - as above

    if head is None:
        raise UsageError("--folders compares two: name the second")
    before, after = (read_state(Path(name).absolute(), name) for name in (base, head))
    _require_contract(before)
    _require_contract(after)
    return before, after


def _require_contract(state: State) -> None:
    """Refuse a lone file that is no contract; what cannot be read is told when it is compared. Raises: UsageError."""
    from dataproducts.changes.states import plain  # noqa: PLC0415 - as above

    for document in (d for files in state.products if not files.is_product for d in files.contracts.values()):
        if (state.root / document.path).parent == state.root and plain(document).get("kind") != "DataContract":
            raise UsageError(
                f"{state.label} is no contract: it has no `kind: DataContract`. Name a folder or a contract"
            )


def _revisions(held: ExitStack, root: Path, base: str, head: str | None) -> tuple[State, State]:
    """Read both states; folders of revisions stay as long as `held`."""
    from dataproducts.changes.revisions import checked_out, describe  # noqa: PLC0415 - as above
    from dataproducts.changes.states import empty_state, read_state  # noqa: PLC0415 - as above

    def at(revision: str) -> State:
        label, folder = describe(root, revision), held.enter_context(checked_out(root, revision))
        return read_state(folder, label) if (folder / "assets").is_dir() else empty_state(label, folder)

    return at(base), at(head) if head else read_state(root, _WORKING_TREE)


# --- as a table -----------------------------------------------------------------------------------------------------


def _print(report: Report) -> None:
    out = console()
    out.print(f"{escape(report.base)} → {escape(report.head)}: [bold]{_verdict(report)}[/]")
    for one in report.graded:
        out.print(f"\n[bold]{escape(one.of)} {escape(one.name)}[/] {escape(_versions(one))}")
        rows = [(text(str(c.grade), _STYLES[str(c.grade)]), _cell(c)) for c in one.changes]
        out.print(grid(("grade", "change"), rows or [("", _BY_CONTRACTS)], plain=True))
    if report.readers:
        out.print("\n[bold]affected[/]")
        told = [(reader.kind, str(reader).removeprefix(f"{reader.kind} ")) for reader in report.readers]
        out.print(grid(("kind", "reader"), told, plain=True))
    for warning in report.warnings:
        out.print(f"\n[yellow]warning[/] {escape(str(warning))}")


def _verdict(report: Report) -> str:
    changed = sum(len(one.changes) for one in report.graded)
    if not changed:
        return "refused" if report.is_refused else "nothing changed"
    count = f"{changed} {'change' if changed == 1 else 'changes'}, {report.grade}"
    return f"{count}, refused" if report.is_refused else count


def _versions(one: Graded) -> str:
    if not one.before or not one.after:
        return f"{one.after} is new" if one.after else f"{one.before} is gone"
    moved = one.before if one.before == one.after else f"{one.before} → {one.after}"
    return f"{moved}, asks for {one.asked}" if one.asked else moved


def _cell(change: Change) -> str:
    values = _values(change)
    told = f"{change.kind}  {place_of(change)}"
    lines = [told + (f": {values}" if values else ""), f"{change.why}{_guess(change)}", str(change.mark)]
    return "\n".join(lines)


def _values(change: Change) -> str:
    if not change.before and not change.after:
        return ""
    return f"{change.before or 'nothing'} → {change.after or 'nothing'}"


def _guess(change: Change) -> str:
    return f"; taken for a new name, for {change.note}" if change.note else ""


def place_of(change: Change) -> str:
    """Return where a change is, as people say it: `orders.amount.required`."""
    import re  # noqa: PLC0415 - only where something is shown

    table = change.table or "table"
    address = re.sub(r"^schema(\[[^\]]*\])?(?=\.|$)", table, change.address)
    return re.sub(r"(?<=\.)properties\[([^\]]*)\]", r"\1", address)


# --- as Markdown ----------------------------------------------------------------------------------------------------


def _markdown(report: Report) -> str:
    lines = [f"### Data products: {_verdict(report)}", "", f"`{_code(report.base)}` → `{_code(report.head)}`", ""]
    for title, faults in (("Refused", report.faults), ("Warnings", report.warnings)):
        if faults:
            lines += [f"**{title}**", "", *(f"- {_prose(str(fault))}" for fault in faults), ""]
    for one in report.graded:
        lines += [f"#### {one.of} `{_code(one.name)}` {_prose(_versions(one))}", ""]
        if one.changes:
            lines += ["| grade | change | what | why |", "|---|---|---|---|", *map(_markdown_row, one.changes), ""]
        else:
            lines += [_BY_CONTRACTS, ""]
    if report.readers:
        lines += ["**Affected**", "", *(f"- {_prose(str(reader))}" for reader in report.readers), ""]
    return "\n".join(lines).rstrip()


def _markdown_row(change: Change) -> str:
    values = _values(change)
    told = f"`{_code(place_of(change))}`" + (f"<br>{_prose(values)}" if values else "")
    return f"| {change.grade} | `{change.kind}` | {told}<br>{_prose(str(change.mark))} | {change.why}{_guess(change)} |"


def _prose(value: str) -> str:
    """Return text that Markdown shows as it stands, in a cell too: nobody's contract writes the comment."""
    import re  # noqa: PLC0415 - as above

    # GitHub looks for names in what the page shows, where `&#64;` is @ again: something has to lie between the two.
    # https://github.com/github/cmark-gfm/issues/181
    return re.sub(r"(?<!\w)&#64;|&#35;", r"\g<0>&#8203;", _line(value).translate(_MARKUP))


def _code(value: str) -> str:
    return _line(value).replace("`", "'").replace("|", "¦")


def _line(value: str) -> str:
    """Return text with blanks for what nobody sees, such as the end of a line, which begins another block."""
    return "".join(char if char.isprintable() else " " for char in value)


# --- as JSON --------------------------------------------------------------------------------------------------------


def _as_json(report: Report) -> dict[str, Any]:
    return {
        "base": report.base,
        "head": report.head,
        "as_of": report.as_of,
        "grade": str(report.grade),
        "refused": report.is_refused,
        "graded": [_graded_json(one) for one in report.graded],
        "affected": _readers_json(report.readers),
        "faults": _faults_json(report.faults),
        "warnings": _faults_json(report.warnings),
    }


def _graded_json(one: Graded) -> dict[str, Any]:
    return {
        "of": one.of,
        "name": one.name,
        "product": one.product,
        "version_before": one.before,
        "version_after": one.after,
        "version_asked": one.asked,
        "grade": str(one.grade),
        "path": one.path,
        "changes": [_change_json(change) for change in one.changes],
    }


def _change_json(change: Change) -> dict[str, Any]:
    return {
        "address": change.address,
        "clause": change.path,
        "kind": change.kind,
        "grade": str(change.grade),
        "before": change.before,
        "after": change.after,
        "path": change.mark.path,
        "line": change.mark.line,
        "why": change.why,
        "changes_meaning": change.changes_meaning,
        "note": change.note,
        "affected": _readers_json(change.readers),
    }


def _readers_json(readers: Sequence[Reader]) -> list[dict[str, Any]]:
    return [{"kind": r.kind, "product": r.product, "name": r.name, "columns": r.columns} for r in readers]


def _faults_json(faults: Sequence[Fault]) -> list[dict[str, Any]]:
    return [{"path": f.path, "line": f.line, "what": f.what, "fix": f.fix} for f in faults]


COMMANDS = (changes,)
