"""Two states of a project compared: every change graded, the versions it asks for, who meets it, what is refused."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING

from dataproducts.changes.flatten import flatten
from dataproducts.changes.matching import counterpart, match, was_unread
from dataproducts.changes.model import Change, Clause, Grade, Graded, Reader, Report, worst
from dataproducts.changes.objectives import with_defaults
from dataproducts.changes.pair import change_of, changes, unseen
from dataproducts.changes.states import FILES, plain
from dataproducts.changes.steps import LESS, MORE, OTHER, RETIRED, Step
from dataproducts.changes.versions import is_refused, least, shortfall
from dataproducts.declare.fields import day, entries, text
from dataproducts.errors import Fault
from dataproducts.product import Mark, Status, version_numbers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dataproducts.changes.readers import Reliance
    from dataproducts.changes.states import Files, State
    from dataproducts.declare.positions import Document

_UNSEEN = "no output port offers the table, so that nobody reads it"


def compare(base: State, head: State, *, as_of: date) -> Report:
    """Return what changed from `base` to `head`, graded; `as_of` is the day by which ends have come or not.

    Who is affected is read from `base`: its readers rely on what was promised then. A product whose files cannot be
    read at `head` is a fault; of files that could not be read at `base`, a warning says that nothing was compared.
    """
    comparison = _Comparison(base, head, as_of)
    for old, new in match(base, head):
        comparison.take(old, new)
    return comparison.report()


@dataclass(slots=True)
class _Comparison:
    """Two states on their way into a report."""

    base: State
    head: State
    as_of: date
    graded: list[Graded] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)
    known: Reliance | None = None

    def report(self) -> Report:
        found = [one for one in self.graded if one.changes or one.asked]
        readers = dict.fromkeys(reader for one in found for change in one.changes for reader in change.readers)
        return Report(
            self.base.label,
            self.head.label,
            self.as_of,
            tuple(found),
            tuple(sorted(set(self.faults))),
            tuple(sorted(set(self.warnings))),
            _merged(readers),
        )

    def take(self, old: Files | None, new: Files | None) -> None:
        """Compare one product, or lone contract, that is in either state."""
        if self.cannot_read(old, new):
            return
        if old is None or new is None:
            self.take_lone(old, new)
            return
        if old.is_product and not new.is_product:  # contracts that no product offers are read by nobody
            self.take_lone(old, None)
            return
        contracts = [one for one in self.contracts(old, new) if one]
        for one in contracts:
            self.judge(one, new)
        self.graded += contracts
        if old.is_product and new.is_product:
            self.take_product(old, new, contracts)

    def cannot_read(self, old: Files | None, new: Files | None) -> bool:
        """Tell what cannot be read, and return whether the product itself cannot."""
        self.faults += new.unread.values() if new else ()
        for path, fault in old.unread.items() if old else ():
            what = f"the file could not be read at {self.base.label}, so that nothing in it is compared"
            self.warnings.append(Fault(path, fault.line, f"{what}: {fault.what}"))
        broken = [files for files in (old, new) if files and any(p.endswith("product.yaml") for p in files.unread)]
        return bool(broken) or any(files and not files.is_product and not files.contracts for files in (old, new))

    def take_lone(self, old: Files | None, new: Files | None) -> None:
        """Take a product that came, or that went without another in its place."""
        files = old or new
        if files is None:
            return
        mark = _mark_of(files)
        clause = Clause(files.address, "file.product", files.version, mark)
        if new:
            step = Step(MORE, None, new.version)
            change = change_of(clause, step)
            self.graded.append(_whole(new, "", new.version, change))
            return
        is_over = files.status == Status.RETIRED or self.is_over(files)
        change = self.with_readers(change_of(clause, Step(RETIRED if is_over else LESS, files.version, None)), files)
        self.graded.append(_whole(files, files.version, "", change))
        if not is_over and _is_promised(files, change.readers):
            what = f"{files.address} is gone before its end: {_until(files)}"
            newer = [f for f in self.head.products if f.name == files.name and f.version and _major(f) > _major(files)]
            if newer:  # readers have a new major to go to, and less time for it than they were told
                self.warnings.append(Fault(mark.path, mark.line, what, "Bring it back until that day."))
                return
            fix = "Bring it back, deprecate it with a `sunsetDate` and a `successor`, and delete it after that day."
            self.faults.append(Fault(mark.path, mark.line, what, fix))

    def is_over(self, files: Files, stem: str = "") -> bool:
        """Whether the last day that readers were told of has passed."""
        end = files.end(stem)
        return end is not None and end < self.as_of

    # --- contracts ----------------------------------------------------------------------------------------------

    def contracts(self, old: Files, new: Files) -> Iterator[Graded | None]:
        """Yield what changed in each contract that both states have."""
        for stem, document in old.contracts.items():
            other = counterpart(new, stem, document)
            if other in new.contracts:
                yield self.contract(old, new, stem, other)

    def contract(self, old: Files, new: Files, stem: str, other: str) -> Graded | None:
        before, after = old.contracts[stem], new.contracts[other]
        found = changes(flatten(before, "contract"), flatten(after, "contract"))
        found += _transform_changes(old, new, stem, other)
        # A lone contract has no file name that would say what its table is called.
        found = tuple(replace(change, table=change.table or (stem if old.is_product else "")) for change in found)
        found = tuple(self.ended(change, old, stem) for change in found)
        found = found if old.is_published(before) else unseen(found, _UNSEEN)
        found = tuple(self.with_readers(change, old) for change in found)
        return self.grade("contract", (before, after), old, found)

    def grade(
        self, of: str, documents: tuple[Document, Document], old: Files, found: tuple[Change, ...]
    ) -> Graded | None:
        """Return changes under the version that they share; None if there are none and the version stayed."""
        before, after = (text(plain(document), "version") for document in documents)
        if not found and before == after:
            return None
        grade = worst(change.grade for change in found)
        readers = [reader for change in found for reader in change.readers]
        return Graded(
            of,
            text(plain(documents[0]), "id") or old.address if of == "contract" else old.address,
            old.address,
            before,
            after,
            found,
            grade,
            least(before, grade) if found else "",
            documents[1].path,
            _is_promised(old, readers),
            documents[1].mark("version"),
        )

    # --- products -----------------------------------------------------------------------------------------------

    def take_product(self, old: Files, new: Files, contracts: list[Graded]) -> None:
        """Take the files beside the contracts, and which contracts and which address the product has."""
        found = [*self.file_changes(old, new), *self.contract_files(old, new)]
        if old.address != new.address and old.name == new.name:
            found.append(self.replaced(old, new))
        found = [self.with_readers(change, old) for change in found]
        graded = self.grade("product", (old.documents["product"], new.documents["product"]), old, tuple(found))
        parts = [one for one in contracts if one.changes]
        if graded is None and not parts:
            return
        before, after = old.version, new.version
        grade = worst([*(change.grade for change in found), *(one.grade for one in parts)])
        whole = graded or Graded(
            "product", old.address, old.address, before, after, (), grade, "", new.documents["product"].path
        )
        is_promised = whole.is_promised and all(one.is_promised for one in parts)
        is_promised = is_promised or _is_promised(old, [r for one in parts for c in one.changes for r in c.readers])
        asked = least(before, grade) if found or parts else ""
        whole = replace(
            whole,
            grade=grade,
            asked=asked,
            is_promised=is_promised,
            mark=new.documents["product"].mark("version"),
        )
        self.judge(whole, new, because=[one.name for one in parts if one.grade is grade])
        self.graded.append(whole)

    def file_changes(self, old: Files, new: Files) -> Iterator[Change]:
        """Yield what changed in product.yaml and the files beside it, but for contracts."""
        for kind in FILES:
            sides = (files.documents.get(kind) for files in (old, new))
            if any(path.endswith(f"/{FILES[kind]}") for files in (old, new) for path in files.unread):
                continue
            before, after = (flatten(side, kind) if side else {} for side in sides)
            if kind == "slo":
                yield from self.promises(old, new, before, after)
                continue
            for change in changes(before, after):
                yield self.port(change, old) if change.path == "product.outputPorts[]" else self.ended(change, old)

    def promises(
        self, old: Files, new: Files, before: Mapping[str, Clause], after: Mapping[str, Clause]
    ) -> Iterator[Change]:
        """Yield what changed of the objectives in force, and of the rest of slo.yaml."""
        for change in changes(*with_defaults(old, new, before, after)):
            contract = old.contracts.get(change.table)
            yield change if contract is None or old.is_published(contract) else unseen([change], _UNSEEN)[0]

    def ended(self, change: Change, old: Files, stem: str = "") -> Change:
        """Return a change, graded by what day it is.

        A status that becomes `retired` after the end that readers were told broke no promise; an end that has come
        when it is announced is no notice.
        """
        sign = ""
        if change.kind == "status_lowered" and change.after == Status.RETIRED and self.is_over(old, stem):
            sign = RETIRED
        elif change.kind == "end_announced" and (day(change.after[:10]) or date.max) <= self.as_of:
            sign = LESS
        if not sign:
            return change
        clause = Clause(change.address, change.path, change.after, change.mark, table=change.table)
        return change_of(clause, Step(sign, change.before, change.after))

    def port(self, change: Change, old: Files) -> Change:
        """Return a change of a port with the table behind it; one that went after its end broke no promise."""
        name, _, major = change.address.partition("[")[2].rstrip("]").rpartition("@")
        ports = (port for port, _ in entries(old.data, "outputPorts"))
        contract = next(
            (
                text(port, "contractId")
                for port in ports
                if text(port, "name") == name and str(version_numbers(text(port, "version"))[0]) == major
            ),
            "",
        )
        stem = old.stem_of(contract)
        change = replace(change, table=stem)
        if change.kind != "port_removed" or not self.is_over(old, stem):
            return change
        clause = Clause(change.address, change.path, change.before, change.mark, table=stem)
        return change_of(clause, Step(RETIRED, change.before, None))

    def contract_files(self, old: Files, new: Files) -> Iterator[Change]:
        """Yield contracts that came and went."""
        kept = {counterpart(new, stem, document) for stem, document in old.contracts.items()}
        for stem, document in new.contracts.items():
            if stem not in kept and not was_unread(old, document):
                clause = Clause(f"contracts[{stem}]", "file.contract", "", document.mark(), table=stem)
                yield change_of(clause, Step(MORE, None, text(plain(document), "version")))
        for stem, document in old.contracts.items():
            if counterpart(new, stem, document) in new.contracts or was_unread(new, document):
                continue
            clause = Clause(f"contracts[{stem}]", "file.contract", "", document.mark(), table=stem)
            sign = RETIRED if self.is_over(old, stem) else LESS
            change = change_of(clause, Step(sign, text(plain(document), "version"), None))
            yield change if old.is_published(document) else unseen([change], _UNSEEN)[0]

    def replaced(self, old: Files, new: Files) -> Change:
        """Return that a new major took the old one's place, and warn if that is before the old one's end."""
        mark = new.documents["product"].mark("version")
        clause = Clause("version", "file.address", new.address, mark)
        change = change_of(clause, Step(OTHER, old.address, new.address))
        if self.is_over(old):
            return change
        major = version_numbers(old.version)[0]
        what = f"version {major} of {'/'.join(old.name)} is gone before its end: {_until(old)}"
        fix = (
            f"Keep its folder beside the new one, which may be called {new.name[1]}_v{version_numbers(new.version)[0]},"
            " until that day: both run side by side."
        )
        self.warnings.append(Fault(mark.path, mark.line, what, fix))
        return change

    # --- versions and readers -----------------------------------------------------------------------------------

    def judge(self, one: Graded, new: Files, because: Sequence[str] = ()) -> None:
        """Tell if the version moved less far than the changes ask for."""
        fault = shortfall(one, is_product=new.is_product, because=because)
        if fault:
            (self.faults if is_refused(one) else self.warnings).append(fault)

    def with_readers(self, change: Change, old: Files) -> Change:
        """Return a change with all who meet it: of what breaks, and of what may mean something else."""
        if change.grade is not Grade.BREAKING and not change.changes_meaning:
            return change
        reliance = self.reliance()
        tables = (
            [change.table]
            if change.table
            else [stem for stem, document in old.contracts.items() if old.is_published(document)]
        )
        found = [reader for table in tables for reader in reliance.readers(old.address, table, change.column)]
        return replace(change, readers=_merged(dict.fromkeys(found)))

    def reliance(self) -> Reliance:
        """Return who read what at the base, read once and only if something breaks."""
        if self.known is None:
            from dataproducts.changes.readers import Reliance  # noqa: PLC0415 - loads SQL: only where something breaks

            self.known = Reliance.of(self.base.root, is_project=self.base.is_project)
        return self.known


def _transform_changes(old: Files, new: Files, stem: str, other: str) -> tuple[Change, ...]:
    """Return that the table is made in another way, if it is; comments and layout of the code do not count."""
    before, after = old.transforms.get(stem), new.transforms.get(other)
    if any(f"/transforms/{stem}." in path for path in (*old.unread, *new.unread)) or before == after:
        return ()
    from dataproducts.transforms.dependencies import code_version  # noqa: PLC0415 - sqlglot takes 0.1 s to import

    versions = [code_version(side) for side in (before, after)]
    if versions[0] == versions[1]:
        return ()
    mark = after.mark if after else new.contracts[other].mark("schema")
    clause = Clause("transform", "file.transform", "", mark, table=stem)
    return (change_of(clause, Step(OTHER, None, None)),)


def _whole(files: Files, before: str, after: str, change: Change) -> Graded:
    return Graded("product", files.address, files.address, before, after, (change,), change.grade, "", change.mark.path)


def _major(files: Files) -> int:
    return version_numbers(files.version)[0]


def _mark_of(files: Files) -> Mark:
    document = files.documents.get("product") or next(iter(files.contracts.values()), None)
    return document.mark("name") if document else Mark(files.folder, 0)


def _until(files: Files) -> str:
    end = files.end()
    return f"readers were told {end}" if end else "no `sunsetDate` told them"


def _is_promised(files: Files, readers: tuple[Reader, ...] | list[Reader]) -> bool:
    """Whether the version counts: a draft, or what is retired, may change if no other product reads it."""
    is_free = files.status in (Status.PROPOSED, Status.DRAFT, Status.RETIRED)
    return not is_free or any(reader.kind == "table" and reader.product != files.address for reader in readers)


def _merged(readers: dict[Reader, None]) -> tuple[Reader, ...]:
    """Return readers, each once; what relies on a table's rows as a whole counts more than on some columns."""
    found: dict[tuple[str, str, str], Reader] = {}
    for reader in readers:
        key = (reader.kind, reader.product, reader.name)
        known = found.get(key)
        columns = sorted({*reader.columns, *known.columns}) if known and known.columns and reader.columns else ()
        found[key] = replace(reader, columns=tuple(columns)) if known else reader
    order = ("table", "metric", "rule", "consumer")
    return tuple(sorted(found.values(), key=lambda r: (order.index(r.kind), r.product, r.name)))
