"""What rules found, printed for a terminal of 80 columns or more; it must not judge, or show what arrives masked."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from dataproducts.cli.show import bare_grid, console, mark, row_line, text
from dataproducts.reports.results import Outcome, outcome_of, rejected_rows, worst

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.text import Text

    from dataproducts.verdict import Pass, RuleResult

_NAME_SHARE = 0.34  # of the terminal: what is found needs the rest
_LEAST_NAME = 16
_SAMPLE_WIDTH = 76
_SAMPLED_ROWS = 5
_TOLD = {"error": "not judged", "skipped": "declared only"}


def rule_grid(title: str, results: Iterable[RuleResult | Outcome]) -> Any:
    """Return the rules of one table with what each found; partitions of a rule are added up."""
    rules = _by_rule(results)
    width = max(_LEAST_NAME, int(console().width * _NAME_SHARE))
    table = bare_grid(title)
    table.add_column("", no_wrap=True)
    table.add_column("rule", no_wrap=True)
    table.add_column("dimension", no_wrap=True)
    table.add_column("rows", justify="right", no_wrap=True)
    table.add_column("found", overflow="fold")
    for name, parts in rules.items():
        told = worst(parts)
        rejected = rejected_rows(parts)
        # Names and messages are text: a `[` in them is no style.
        found = text(told.reason if told.state != "passed" else "", "dim" if told.state == "skipped" else "")
        rows = text(f"{rejected:,}" if rejected else "")
        table.add_row(mark(told.state), text(fold(name, width)), text(told.dimension), rows, found)
    return table


def pass_grid(title: str, passes: Sequence[Pass]) -> Any:
    """Return the passes that judging a table took: the proof, the rules it answered, the rows it read, its seconds."""
    table = bare_grid(f"{title}: {len(passes)} passes")
    table.add_column("proof", max_width=28)
    table.add_column("rules", overflow="fold")
    table.add_column("rows read", justify="right", no_wrap=True)
    table.add_column("seconds", justify="right", no_wrap=True)
    for one in passes:
        table.add_row(text(one.method), text(", ".join(one.rules)), f"{one.rows:,}", f"{one.seconds:.3f}")
    return table


def summary(results: Iterable[RuleResult | Outcome]) -> Text:
    """Return how many rules there are and what became of them: `17 rules: 15 passed, 1 warned, 1 failed`."""
    counts = Counter(worst(parts).state for parts in _by_rule(results).values())
    total = sum(counts.values())
    said = text(f"{total:,} {'rule' if total == 1 else 'rules'}")
    for at, state in enumerate(state for state in ("passed", "skipped", "warned", "failed", "error") if counts[state]):
        said.append(": " if at == 0 else ", ")
        said.append(f"{counts[state]:,} {_TOLD.get(state, state)}", style=str(mark(state).style))
    return said


def print_samples(results: Iterable[RuleResult | Outcome]) -> None:
    """Print up to 5 rejected rows of each failed rule, those that look alike once; classified columns arrive masked."""
    for name, parts in _by_rule(results).items():
        rows = [row for part in parts if not part.passed for row in part.sample][:_SAMPLED_ROWS]
        _print_rows(f"{name}: rejected rows", rows)


def print_aside(counts: Mapping[str, int], samples: Mapping[str, Sequence[Mapping[str, Any]]], *, said: str) -> None:
    """Print by rule how many rows were, or would be, set aside, as `said` has it, and up to 5 of them."""
    for name, count in counts.items():
        click.echo(f"  {name}: {'1 row' if count == 1 else f'{count:,} rows'} {said}")
        _print_rows(f"{name}: quarantined rows", samples.get(name, ()))


def _print_rows(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        click.echo(f"  {title}, for instance")
    for line, times in Counter(_cut(row_line(row)) for row in rows).items():
        click.echo(f"    {line}" + (f" ({times} alike)" if times > 1 else ""))


def fold(name: str, width: int) -> str:
    """Return `name` in lines of at most `width` characters, broken after `_` and `.` where it can be."""
    lines, line = [], ""
    for piece in re.findall(r"[^_.]*[_.]|[^_.]+$", name):
        if line and len(line) + len(piece) > width:
            lines.append(line)
            line = ""
        line += piece
        while len(line) > width:
            lines.append(line[:width])
            line = line[width:]
    return "\n".join([*lines, line] if line else lines)


def _by_rule(results: Iterable[RuleResult | Outcome]) -> dict[str, Sequence[Outcome]]:
    found: dict[str, list[Outcome]] = {}
    for result in results:
        outcome = result if isinstance(result, Outcome) else outcome_of(result)
        found.setdefault(outcome.rule, []).append(outcome)
    return dict(found)


def _cut(line: str) -> str:
    return line if len(line) <= _SAMPLE_WIDTH else f"{line[: _SAMPLE_WIDTH - 1]}…"
