"""What becomes of each clause that a product's files declare; it must not enforce or monitor anything itself.

No silent gap: a clause is enforced (something refuses when it is broken), monitored (it is measured and told), or
declared-only. An active product may hold no declared-only promise without a waiver that names it, gives a reason and
has not expired. A waiver of a whole (`contract.roles`) covers its parts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from dataproducts.declare.clause_table import DECLARED, ENFORCED, Clause, lookup
from dataproducts.declare.clause_table import table as all_clauses
from dataproducts.declare.fields import custom_entries, day, entries, text
from dataproducts.declare.implied_objectives import imply_objectives
from dataproducts.declare.positions import parse_yaml, read_yaml
from dataproducts.declare.settled import settle
from dataproducts.errors import DeclarationError, Fault
from dataproducts.product import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from dataproducts.declare.positions import Document
    from dataproducts.declare.telling import Place
    from dataproducts.product import DataProduct, Mark, Table

_OPAQUE = {"arguments", "implementation", "examples", "given", "expect", "valueExt", "nullValues"}
_ANYWHERE = {"tags", "authoritativeDefinitions", "synonyms", "context"}
_COLUMN_STEPS = re.compile(r"(?<=contract\.schema\[\])((\.properties\[\]|\.items|\.map\.key|\.map\.value)+)(?=[.\[])")
_UNKNOWN = Clause(DECLARED, "promise", "nothing reads it")


@dataclass(frozen=True, slots=True)
class ClauseLine:
    """One clause in one place: `path` and `line` of the file, `clause` as the table of clauses writes it.

    `place` is the clause with its positions, such as `contract.roles[0]`; a waiver may name either. `informative`
    clauses promise nothing. `by` says what enforces or monitors it, or why nothing does. `name` is what an item of a
    list calls itself.
    """

    path: str
    clause: str
    state: str
    waived: bool
    line: int
    informative: bool = False
    by: str = ""
    place: str = ""
    name: str = ""

    @property
    def is_open(self) -> bool:
        """Whether it is a promise that nothing keeps and no waiver covers."""
        return self.state == DECLARED and not self.informative and not self.waived


def report(product: DataProduct, *, as_of: date | None = None) -> tuple[ClauseLine, ...]:
    """Return every clause of the product's files, in the order of the files' lines.

    `as_of` is the day on which waivers must not have expired; today if absent. Files that cannot be read any more are
    left out: loading tells of them.
    """
    waivers = _valid_waivers(product, as_of)
    measured = _measured(product)
    return tuple(
        line
        for document, kind, table in _documents(product)
        for line in _lines(document, kind, table, waivers, measured)
    )


def share_enforced(lines: Iterable[ClauseLine]) -> float:
    """Return the share of promises that are enforced, from 0 to 1; 1 if there are none."""
    counted = [line for line in lines if not line.informative]
    return sum(line.state == ENFORCED for line in counted) / len(counted) if counted else 1.0


def faults(product: DataProduct, *, as_of: date | None = None) -> tuple[Fault, ...]:
    """Return a fault for each promise of an active product that is declared-only and not waived, and for bad waivers.

    `as_of` as in `report`. Products of any other status have none.
    """
    if product.status is not Status.ACTIVE:
        return ()
    lines = report(product, as_of=as_of)
    today = as_of or datetime.now(UTC).date()
    expired = {name: end for name, end in _waivers(product) if end < today}
    found = [_open_fault(line, expired) for line in lines if line.is_open]
    return tuple(sorted({*found, *_idle_waivers(product, lines)}))


def _open_fault(line: ClauseLine, expired: Mapping[str, date]) -> Fault:
    ended = next((end for name, end in expired.items() if _covers(name, line.clause, line.place)), None)
    because = f", and its waiver expired on {ended}" if ended else ""
    what = f"the clause {line.clause} is declared-only ({line.by}){because}"
    waiver = f"{{clause: '{line.clause}', reason: …, expires: …}}"
    fix = f"Drop it, or waive it: `{waiver}` under the custom property `waivers`."
    return Fault(line.path, line.line, what, fix)


def _idle_waivers(product: DataProduct, lines: Sequence[ClauseLine]) -> Iterator[Fault]:
    """Refuse waivers that cover nothing: what they were for is gone, or they are misspelt."""
    open_lines = [line for line in lines if line.state == DECLARED and not line.informative]
    document = next((document for document, kind, _ in _documents(product) if kind == "product"), None)
    if document is None:
        return
    for entry, place in custom_entries(document.data, "waivers"):
        name = text(entry, "clause")
        if name and not any(_covers(name, line.clause, line.place) for line in open_lines):
            what = f"the waiver of {name!r} covers no declared-only clause of the product"
            known = ", ".join(sorted({line.clause for line in open_lines})) or "none"
            yield document.fault((*place, "clause"), what, f"Delete it. Declared-only clauses: {known}.")


def _waivers(product: DataProduct) -> list[tuple[str, date]]:
    found = []
    for entry, _ in custom_entries(dict(product.raw), "waivers"):
        end = day(entry.get("expires"))
        if text(entry, "clause") and text(entry, "reason") and end:
            found.append((text(entry, "clause"), end))
    return found


def _valid_waivers(product: DataProduct, as_of: date | None) -> list[str]:
    today = as_of or datetime.now(UTC).date()
    return [name for name, end in _waivers(product) if end >= today]


def _covers(waiver: str, clause: str, place: str) -> bool:
    return any(name == waiver or name.startswith((f"{waiver}[", f"{waiver}.")) for name in (clause, place)) and (
        waiver not in ("contract", "product", "design", "slo", "contract.schema", "contract.schema[]")
    )


def _documents(product: DataProduct) -> Iterator[tuple[Document, str, Table | None]]:
    base = product.mark.path.rpartition("/")[0]
    prefix = f"{base}/" if base else ""
    files = [("product.yaml", "product"), ("design.yaml", "design"), ("slo.yaml", "slo")]
    files += [(f"tests/{file.name}", "tests") for file in sorted((product.folder / "tests").glob("*.yaml"))]
    for name, kind in files:
        try:
            yield read_yaml(product.folder / name, f"{prefix}{name}"), kind, None
        except DeclarationError:
            continue
    for table in product.tables:
        yield parse_yaml(table.contract_text, table.mark.path), "contract", table


def _measured(product: DataProduct) -> dict[Mark, str]:
    """Return where SLAs stand that an objective in force measures, with the objective's name."""
    names = {objective.name for objective in product.objectives}
    return {objective.mark: objective.name for objective in imply_objectives(product) if objective.name in names}


def _lines(
    document: Document, kind: str, table: Table | None, waivers: Sequence[str], measured: Mapping[Mark, str]
) -> Iterator[ClauseLine]:
    data = {"tests": document.data} if kind == "tests" and isinstance(document.data, list) else document.data
    yield from sorted(_read_lines(document, data, kind, table, waivers, measured), key=lambda line: line.line)


def _read_lines(
    document: Document, data: Any, kind: str, table: Table | None, waivers: Sequence[str], measured: Mapping[Mark, str]
) -> Iterator[ClauseLine]:
    for clause, place, where in _walk(data, kind):
        known = settle(clause, document, where, table, measured) or lookup(clause) or _UNKNOWN
        waived = known.state == DECLARED and any(_covers(waiver, clause, place) for waiver in waivers)
        actual = where[1:] if kind == "tests" and isinstance(document.data, list) else where
        line, name = document.line(*actual), _called(data, where) if clause.endswith("[]") else ""
        yield ClauseLine(document.path, clause, known.state, waived, line, known.informative, known.by, place, name)


def _called(data: Any, where: Place) -> str:
    """Return what the item of a list at `where` calls itself; empty if it has no name."""
    for step in where:
        data = data[step]
    return next((name for key in ("property", "name", "metric", "to") if (name := text(data, key))), "")


def _walk(data: Any, kind: str) -> Iterator[tuple[str, str, Place]]:
    """Yield each clause with its name, its name with positions, and its place, in the order of the file."""
    if kind == "tests" and isinstance(data, dict) and "tests" not in data:
        data = {"tests": [data]}
    waiting: list[tuple[Any, str, Place]] = [(data, "" if kind == "tests" else kind, ())]
    while waiting:
        value, name, where = waiting.pop()
        steps: list[tuple[Any, str, Place]] = []
        if isinstance(value, dict):
            for key, inner in value.items():
                path = f"{name}.{key}" if name else key
                yield _normal(path), path, (*where, key)
                steps += _below(key, inner, path, (*where, key))
        for _, path, at in steps:
            if re.search(r"\]$", path) and _is_whole(_normal(path)):
                yield _normal(path), path, at
        waiting.extend(reversed(steps))


def _below(key: str, inner: Any, path: str, where: Place) -> list[tuple[Any, str, Place]]:
    """Return what is to be walked below a key: a mapping, or the mappings of a list."""
    if key in _OPAQUE or key in _ANYWHERE:
        return []
    if key == "customProperties":
        return _custom_below(inner, path, where)
    if isinstance(inner, list):
        return [(item, f"{path}[{at}]", (*where, at)) for at, item in enumerate(inner) if isinstance(item, dict)]
    return [(inner, path, where)] if isinstance(inner, dict) else []


def _custom_below(inner: Any, path: str, where: Place) -> list[tuple[Any, str, Place]]:
    found: list[tuple[Any, str, Place]] = []
    for entry, at in entries({"items": inner}, "items"):
        name = f"{path}[{text(entry, 'property')}]"
        value = entry.get("value")
        place: Place = (*where, at[1])
        inside = any(known.startswith((f"{_normal(name)}.", f"{_normal(name)}[].")) for known in all_clauses())
        found.append((value if isinstance(value, dict) and inside else None, name, place))
        if isinstance(value, list) and inside:
            found += [(v, f"{name}[{i}]", (*place, "value", i)) for i, v in enumerate(value) if isinstance(v, dict)]
    return found


def _normal(path: str) -> str:
    """Return a path with positions as the table of clauses writes it."""
    return _COLUMN_STEPS.sub(".properties[]", re.sub(r"\[\d+\]", "[]", path))


def _is_whole(clause: str) -> bool:
    """Whether an item of a list is a clause itself: a rule, a relationship, an SLA, a custom property."""
    return clause.endswith(("quality[]", "relationships[]", "slaProperties[]", "slo.objectives[]")) or bool(
        re.search(r"customProperties\[\w+\]$", clause)
    )
