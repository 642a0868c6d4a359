"""Stage a table, treat and split its rows, and write them as new versions; it must not judge them.

Every row that was staged is written once, published or quarantined: what does not add up is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import duckdb

from dataproducts.errors import RefusedError, TransformError
from dataproducts.partitions import after
from dataproducts.product import OnFailure
from dataproducts.release import Version
from dataproducts.rules.masking import discreet
from dataproducts.rules.measures import keep, measure
from dataproducts.rules.quarantine import REFRESH_COLUMN, RUN_COLUMN, TIME_COLUMN, split
from dataproducts.rules.treatments import Treated, treat
from dataproducts.sql import file_patterns, literal, quote
from dataproducts.store import new_id
from dataproducts.transforms.dependencies import code_version
from dataproducts.transforms.stage import stage, translated
from dataproducts.trial import columns_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import date

    from dataproducts.product import Partitioning, Table, TableRef
    from dataproducts.release import FileRef
    from dataproducts.scene import Scene
    from dataproducts.warehouse import Warehouse

_WHOLE = "all"  # the file name of a table that is not partitioned
_STAGED = "staged"  # the temporary table of the rows to be written


def write_versions(
    warehouse: Warehouse,
    scene: Scene,
    table: Table,
    inputs: Mapping[str, str],
    *,
    con: duckdb.DuckDBPyConnection,
    partitions: Sequence[date],
) -> tuple[Version, ...]:
    """Run the transform of `table` on `inputs` (name -> SQL) and return what was written, one version a partition.

    Policies of the columns are applied first, and counted in the version. Rows that a rule sends to quarantine are
    written beside, and counted as well.
    Raises: TransformError, if the transform fails or makes rows of no partition that was asked for; RefusedError, if
    the rows written are not those that were staged; StoreError.
    """
    writer = _Writer(warehouse, scene, table, con, batch=new_id())
    try:
        if table.partitioning is None:
            return writer.write(inputs, None, {_WHOLE: ""})
        written: list[Version] = []
        for span in _spans(table.partitioning, sorted(set(partitions))):
            bounds = (span[0], after(table.partitioning, span[-1]))
            alone = {span[0].isoformat(): ""}
            together = {
                day.isoformat(): _between(table.partitioning, day, after(table.partitioning, day)) for day in span
            }
            written += writer.write(inputs, bounds, alone if table.partitioning.batch == "each" else together)
        return tuple(written)
    except duckdb.Error as error:
        raise translated(error, table) from None


def rewrite_version(
    warehouse: Warehouse, scene: Scene, version: Version, rows: tuple[str, str], *, con: duckdb.DuckDBPyConnection
) -> Version:
    """Return what is written in the place of `version`: rows of it that stay as they are, beside others put back.

    `rows` is SQL usable after FROM for either, with the columns of the contract. The policies of the columns touch
    only what is put back, by the statistics of both. Both are split by the rules of today, as if one transform had
    given them; the transform that made the version counts as theirs. Raises: as `write_versions`.
    """
    table = scene.product.table(version.table)
    writer = _Writer(warehouse, scene, table, con, batch=new_id())
    part = version.partition or _WHOLE
    try:
        return writer.rewrite(part, *rows, code=version.code_version)
    except duckdb.Error as error:
        raise translated(error, table) from None


def _spans(partitioning: Partitioning, days: Sequence[date]) -> Iterator[list[date]]:
    """Partitions that one call of the transform makes: one by one, or every unbroken range at once."""
    span: list[date] = []
    for day in days:
        if span and (partitioning.batch == "each" or after(partitioning, span[-1]) != day):
            yield span
            span = []
        span.append(day)
    if span:
        yield span


def _between(partitioning: Partitioning | None, start: date, end: date) -> str:
    column = quote(partitioning.column if partitioning else "")
    return f"{column} >= {literal(start)} AND {column} < {literal(end)}"


@dataclass(frozen=True, slots=True)
class _Part:
    """The rows of one file: those kept and those quarantined, as SQL, and the rows that rules and policies concern."""

    kept: str
    aside: str | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    treated: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Writer:
    """What writing one table needs at every step."""

    warehouse: Warehouse
    scene: Scene
    table: Table
    con: duckdb.DuckDBPyConnection
    batch: str

    def write(
        self, inputs: Mapping[str, str], bounds: tuple[date, date] | None, tests: Mapping[str, str]
    ) -> tuple[Version, ...]:
        """Run the transform once and write its rows as one version for each of `tests` (name -> predicate)."""
        settles = self._settles
        dealt = any(tests.values())
        staged = stage(self.con, self.table, inputs, partition=bounds, staged=_STAGED, materialise=settles or dealt)
        made: list[str] = []
        try:
            if settles or dealt:
                self.con.execute("RESET disabled_optimizers")  # a source with doubtful statistics is read no more
            if dealt:
                staged = self._in_order(staged, made)
            outside = self._outside(staged, bounds) if dealt and bounds else ""
            parts: dict[str, _Part] = {}
            for name, test in tests.items():
                rows = f"(SELECT * FROM {staged} WHERE {test}{outside})" if test else staged
                parts[name] = self._settle(rows, name, made) if settles else _Part(f"SELECT * FROM {rows}")
                if outside:
                    self._refuse(parts[name].kept, outside)
                    outside = ""
            total = self._count(staged) if settles or dealt else None
            return self._finish(parts, total, code_version(self.table.transform))
        finally:
            self._drop(made)
            self.con.execute(f"DROP TABLE IF EXISTS {_STAGED}")

    def rewrite(self, name: str, stay: str, back: str, *, code: str) -> Version:
        """Write one version from rows that `stay` and others that are put `back`, both SQL usable after FROM."""
        made: list[str] = []
        columns = ", ".join(quote(column.name) for column in self.table.columns)
        try:
            self._make(f"{_STAGED} back", f"SELECT {columns} FROM {back}", made)
            both = f"SELECT {columns} FROM {stay} UNION ALL SELECT {columns} FROM {quote(made[0])}"
            self._make(f"{_STAGED} both", both, made)
            treated = treat(self.con, self.table, quote(made[0]), measured=quote(made[1]))
            if treated.sql:
                self._make(_STAGED, f"SELECT {columns} FROM {stay} UNION ALL BY NAME {treated.sql}", made)
            part = self._split(quote(made[-1]), name, treated)
            (version,) = self._finish({name: part}, self._count(quote(made[-1])), code)
            return version
        finally:
            self._drop(made)

    def _in_order(self, staged: str, made: list[str]) -> str:
        """Sort the staged rows by partition, in which they keep their order: each file is then cut from a few blocks.

        Unsorted, writing a year of days reads all rows 365 times.
        """
        column = quote(self.table.partitioning.column if self.table.partitioning else "")
        name = f"{_STAGED} in order"
        return quote(self._make(name, f"SELECT * FROM {staged} ORDER BY {column}, rowid", made))

    @property
    def _settles(self) -> bool:
        """Whether rows are treated or split before they are written."""
        return bool(self.table.treatments) or any(r.on_failure is OnFailure.QUARANTINE for r in self.table.rules)

    def _settle(self, rows: str, name: str, made: list[str]) -> _Part:
        """Treat and split the rows of one part; each alone, so that it does not matter which others are written too."""
        treated = treat(self.con, self.table, rows)
        if treated.sql:
            rows = quote(self._make(f"{_STAGED} {name} treated", treated.sql, made))
        return self._split(rows, name, treated)

    def _split(self, staged: str, name: str, treated: Treated) -> _Part:
        day = name if self.table.partitioning else None
        found = split(self.con, self.table, staged, lookup=self._lookup, partition=day, bounds=treated.rules)
        return _Part(found.kept_sql, found.quarantined_sql, found.counts, treated.counts)

    def _make(self, name: str, query: str, made: list[str]) -> str:
        made.append(name)
        self.con.execute(f"CREATE OR REPLACE TEMP TABLE {quote(name)} AS {query}")
        return name

    def _drop(self, made: Iterable[str]) -> None:
        kinds = dict(self.con.execute("SELECT table_name, table_type FROM information_schema.tables").fetchall())
        for name in reversed(list(made)):
            if name in kinds:
                self.con.execute(f"DROP {'VIEW' if kinds[name] == 'VIEW' else 'TABLE'} {quote(name)}")

    def _count(self, staged: str) -> int:
        return int(self.con.execute(f"SELECT count(*) FROM {staged}").fetchall()[0][0])

    def _finish(self, parts: Mapping[str, _Part], total: int | None, code: str) -> tuple[Version, ...]:
        """Write the files of every part and return their versions; `total` is what all of them must add up to."""
        files = self._store({name: part.kept for name, part in parts.items()}, quarantine=False)
        aside = {name: self._stamped(part.aside) for name, part in parts.items() if part.aside}
        rejected = self._store(aside, quarantine=True) if aside else {}
        published, quarantined = (sum(file.rows for file in made.values()) for made in (files, rejected))
        if total is not None and total != published + quarantined:
            raise RefusedError(
                f"{self.scene.product.address}.{self.table.name}: {total} rows were staged, and {published} + "
                f"{quarantined} were to be published and quarantined. Nothing was kept: is a rule's expression, or a "
                "cast, not the same each time it is asked?"
            )
        return self._versions(files, rejected, parts, code)

    def _stamped(self, aside: str) -> str:
        """Quarantined rows with what tells where they come from."""
        refresh = self.scene.refresh
        marks = {REFRESH_COLUMN: refresh.id, RUN_COLUMN: refresh.run_id, TIME_COLUMN: self.warehouse.recorded_at()}
        listed = ", ".join(f"{literal(value)} AS {quote(name)}" for name, value in marks.items())
        return f"SELECT *, {listed} FROM ({aside})"

    def _lookup(self, ref: TableRef) -> str:
        return self.warehouse.store.version_relation(self.scene.of(ref))

    def _outside(self, staged: str, bounds: tuple[date, date]) -> str:
        """SQL that adds the rows of no partition to those of the first, for a rule may quarantine them; or nothing."""
        inside = _between(self.table.partitioning, *bounds)
        row = self.con.execute(f"SELECT count(*) FROM {staged} WHERE ({inside}) IS NOT TRUE").fetchone()
        return f" OR ({inside}) IS NOT TRUE" if row and row[0] else ""

    def _refuse(self, kept: str, outside: str) -> None:
        """Rows of no partition would be lost in silence by dealing them out: refuse those that are not quarantined."""
        test = outside.removeprefix(" OR ")
        row = self.con.execute(f"SELECT count(*) FROM ({kept}) WHERE {test}").fetchone()
        if row and row[0]:
            column = self.table.partitioning.column if self.table.partitioning else ""
            raise TransformError(
                f"{self.table.mark}: {row[0]} rows of {self.table.name!r} lie outside the partitions that were asked "
                f"for. Filter {column!r} by $partition_start and $partition_end in the transform"
            )

    def _store(self, parts: Mapping[str, str], *, quarantine: bool) -> dict[str, FileRef]:
        return self.warehouse.store.write(
            self.con,
            parts,
            product=self.scene.product.address,
            table=self.table.name,
            batch=self.batch,
            quarantine=quarantine,
        )

    def _versions(
        self, files: Mapping[str, FileRef], rejected: Mapping[str, FileRef], parts: Mapping[str, _Part], code: str
    ) -> tuple[Version, ...]:
        table = self.table
        schema = self._schema(next(iter(files.values())))
        until = self._valid_thru(files.values(), schema)
        return tuple(
            Version(
                id=new_id(),
                product=self.scene.product.address,
                table=table.name,
                partition=name if table.partitioning else None,
                files=(discreet(file, table),),
                rows=file.rows,
                schema=schema,
                contract_hash=table.contract_hash,
                code_version=code,
                refresh_id=self.scene.refresh.id,
                run_id=self.scene.refresh.run_id,
                created_at=self.warehouse.recorded_at(),
                valid_thru=until.get(str(self.warehouse.store.path(file))),
                quarantine_files=(discreet(rejected[name], table),) if name in rejected else (),
                quarantined={rule: rows for rule, rows in parts[name].counts.items() if rows},
                treated=dict(parts[name].treated),
                profile=self._profile(file),
            )
            for name, file in files.items()
        )

    def _profile(self, file: FileRef) -> dict[str, Any]:
        """What the ledger keeps of the rows, beside the facts that their writer told."""
        read = self._read([file])
        kept = keep(self.con, self.table, read, rows=file.rows)
        return measure(self.con, self.table, read, files=[file]) | ({"kept": kept} if kept else {})

    def _schema(self, file: FileRef) -> tuple[tuple[str, str], ...]:
        """Columns and types of one file; all files of a call come from one relation, so they share them."""
        return tuple(columns_of(self.con, self._read([file])).items())

    def _valid_thru(self, files: Iterable[FileRef], schema: tuple[tuple[str, str], ...]) -> dict[str, datetime]:
        """Until when each file is complete: the latest event time in it, by path."""
        if not self.table.valid_thru:
            return {}
        # The column with the path must not bear the name of one that the table has.
        path = "_" * (1 + max(len(name) for name, _ in schema))
        read = self._read(files, f"filename = {literal(path)}")
        latest = f"SELECT {quote(path)}, max({quote(self.table.valid_thru)})::TIMESTAMP FROM {read} GROUP BY 1"
        rows = self.con.execute(latest).fetchall()
        return {where: moment.replace(tzinfo=UTC) for where, moment in rows if moment}

    def _read(self, files: Iterable[FileRef], *options: str) -> str:
        """What lies in `files`, as it lies there."""
        paths = file_patterns(self.warehouse.store.path(file) for file in files)
        return f"read_parquet({', '.join((paths, 'hive_partitioning = false', *options))})"
