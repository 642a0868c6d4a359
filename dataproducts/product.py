"""The typed model of a data product, as its files declare it; it must not know how files are read or run."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date
    from pathlib import Path

    from dataproducts.objective import Objective, Trust

_EMPTY: Mapping[str, Any] = MappingProxyType({})


class Layer(StrEnum):
    """Where a product stands between source and consumer (ODPS 1.1 `type`)."""

    SOURCE_ALIGNED = "sourceAligned"
    AGGREGATE = "aggregate"
    CONSUMER_ALIGNED = "consumerAligned"


class Status(StrEnum):
    """Lifecycle of a product (the words of ODPS)."""

    PROPOSED = "proposed"
    DRAFT = "draft"
    ACTIVE = "active"
    DEPRECATED = "deprecated"
    RETIRED = "retired"


class Tier(StrEnum):
    """How much is promised: policies set the least number of rules and SLAs for each."""

    GOLD = "gold"
    SILVER = "silver"
    BRONZE = "bronze"


class Severity(StrEnum):
    """What a failed rule means; only `ERROR` can block."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Dimension(StrEnum):
    """The eight kinds of quality that a rule can speak of."""

    SCHEMA = "schema"
    COMPLETENESS = "completeness"
    UNIQUENESS = "uniqueness"
    VALIDITY = "validity"
    CONSISTENCY = "consistency"
    FRESHNESS = "freshness"
    ACCURACY = "accuracy"
    VOLUME = "volume"


class OnFailure(StrEnum):
    """What happens to rows that a rule rejects."""

    REFUSE = "refuse"
    QUARANTINE = "quarantine"


class RuleKind(StrEnum):
    """What a rule asks; `rules/predicates.py` says how each is counted.

    Row kinds reject single rows and hold partition by partition: required, range, length, pattern, enum,
    multiple_of, missing_values, invalid_values, partition_bounds.
    Table kinds need the whole table: unique, foreign_key, row_count, null_values, duplicate_values, sql,
    freshness, custom. Schema looks at names and types alone. Text cannot be judged: it is declared-only.
    """

    SCHEMA = "schema"
    REQUIRED = "required"
    RANGE = "range"
    LENGTH = "length"
    PATTERN = "pattern"
    ENUM = "enum"
    MULTIPLE_OF = "multiple_of"
    PARTITION_BOUNDS = "partition_bounds"
    CONDITION = "condition"
    NULL_VALUES = "null_values"
    MISSING_VALUES = "missing_values"
    INVALID_VALUES = "invalid_values"
    UNIQUE = "unique"
    DUPLICATE_VALUES = "duplicate_values"
    FOREIGN_KEY = "foreign_key"
    ROW_COUNT = "row_count"
    FUNCTIONAL_DEPENDENCY = "functional_dependency"
    RECONCILIATION = "reconciliation"
    DRIFT = "drift"
    ANOMALY = "anomaly"
    RETENTION = "retention"
    DEADLINE = "deadline"
    SQL = "sql"
    FRESHNESS = "freshness"
    CUSTOM = "custom"
    TEXT = "text"


class Operator(StrEnum):
    """How an observed number is compared (the eight operators of ODCS)."""

    MUST_BE = "mustBe"
    MUST_NOT_BE = "mustNotBe"
    MUST_BE_GREATER_THAN = "mustBeGreaterThan"
    MUST_BE_GREATER_OR_EQUAL_TO = "mustBeGreaterOrEqualTo"
    MUST_BE_LESS_THAN = "mustBeLessThan"
    MUST_BE_LESS_OR_EQUAL_TO = "mustBeLessOrEqualTo"
    MUST_BE_BETWEEN = "mustBeBetween"
    MUST_NOT_BE_BETWEEN = "mustNotBeBetween"


@dataclass(frozen=True, slots=True)
class Mark:
    """Where something was declared; `path` is relative to the project where there is one, `line` counts from 1."""

    path: str
    line: int

    def __str__(self) -> str:
        """Render as `path:line`."""
        return f"{self.path}:{self.line}"


NOWHERE = Mark("", 0)


def version_numbers(version: str) -> tuple[int, int, int]:
    """Return the three numbers of a version such as `v1.10.0`, to compare by; those that are not written are 0."""
    parts = version.lstrip("v").split("-")[0].split("+")[0].split(".")
    major, minor, patch, *_ = [*(int(part) if part.isdecimal() else 0 for part in parts), 0, 0, 0]
    return major, minor, patch


@dataclass(frozen=True, slots=True)
class Threshold:
    """What an observed number must satisfy; two values for the `between` operators, one otherwise.

    Units: `rows`, or `percent` of the rows judged (0 to 100). `mustBeBetween` includes both ends.
    """

    operator: Operator = Operator.MUST_BE
    values: tuple[float, ...] = (0,)
    unit: str = "rows"

    def __str__(self) -> str:
        """Render as `mustBe 0 rows`."""
        return f"{self.operator} {' and '.join(f'{v:g}' for v in self.values)} {self.unit}"


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that must hold of a table; each becomes one asset check.

    `name` is unique within the table and made of letters, digits, `_` and `.` (Dagster's limit).
    `params` by kind: range {minimum, maximum, exclusiveMinimum, exclusiveMaximum}; length {minLength, maxLength};
    pattern {pattern}; enum {values}; multiple_of {multipleOf}; missing_values {missingValues};
    invalid_values {validValues, pattern}; unique {} and duplicate_values {} use `columns`;
    foreign_key {to: TableRef, to_columns}; sql {query}; freshness {max_age_s}; custom {engine, implementation};
    partition_bounds {}. `keep` tells a duplicate rule with quarantine which row stays: `first` or `none`.
    `quarantine_limit` is how many rows a rule with quarantine may set aside of one version before it is refused.
    """

    name: str
    kind: RuleKind
    columns: tuple[str, ...] = ()
    params: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    threshold: Threshold = Threshold()
    dimension: Dimension = Dimension.VALIDITY
    severity: Severity = Severity.ERROR
    criticality: str = "medium"
    blocking: bool = True
    on_failure: OnFailure = OnFailure.REFUSE
    keep: str = "first"
    description: str = ""
    mark: Mark = NOWHERE
    quarantine_limit: Threshold | None = None
    driver: str = ""  # the regulation or reason behind it


@dataclass(frozen=True, slots=True)
class Treatment:
    """What becomes of the missing, or of the outlying, values of a column before its rows are split and judged.

    `name` is `<column>.missing` or `<column>.outliers`, under which rows are counted. `policy` is reject, quarantine
    or allow; or impute, for missing values, and cap, for outlying ones. `params` of missing values: `values` that
    count as missing beside NULL, and for impute `value`, or `by` (median, mean, mode, previous) with `orderBy`; of
    outlying values: `minimum` and `maximum`, or `method` iqr with `factor`, or percentiles with `lower` and `upper`.
    """

    name: str
    column: str
    of: str  # missing or outliers
    policy: str
    params: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    mark: Mark = NOWHERE
    quarantine_limit: Threshold | None = None

    @property
    def changes_values(self) -> bool:
        """Whether values are replaced, not only counted or set aside."""
        return self.policy in {"impute", "cap"}

    @property
    def is_statistical(self) -> bool:
        """Whether what counts as outlying is found in the rows themselves."""
        return bool(self.params.get("method"))


@dataclass(frozen=True, slots=True)
class TableRef:
    """A table by address; `product` is `<domain>/<name>` (with `@v2` from the second major on)."""

    product: str
    table: str

    def __str__(self) -> str:
        """Render as `<product>.<table>`."""
        return f"{self.product}.{self.table}"


@dataclass(frozen=True, slots=True)
class Column:
    """One column as the contract declares it; `sql_type` is the DuckDB type that staged files must have."""

    name: str
    logical_type: str
    sql_type: str
    physical_type: str = ""
    physical_name: str = ""
    description: str = ""
    term: str = ""
    required: bool | None = None
    unique: bool = False
    primary_key: int = 0  # position from 1, 0 = not part of the key
    classification: str = ""
    critical: bool = False
    examples: tuple[Any, ...] = ()
    enum: tuple[Any, ...] = ()
    options: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    properties: tuple[Column, ...] = ()
    items: Column | None = None
    tags: tuple[str, ...] = ()
    mark: Mark = NOWHERE


TIME_SLAS = ("latency", "freshness", "frequency")
"""Names of the SLAs that say how old a table may become, or how far its refreshes may lie apart."""


@dataclass(frozen=True, slots=True)
class Sla:
    """One `slaProperties` entry; `element` is `table.column` where the standard asks for one."""

    name: str
    value: Any
    unit: str = ""
    element: str = ""
    driver: str = ""
    schedule: str = ""
    mark: Mark = NOWHERE

    @property
    def seconds(self) -> float | None:
        """The value in seconds, where the unit is one of time (y, mo, w, d, h, m, s and their words), else None.

        None of more than 1,000 years either: moments so long ago cannot be told.
        """
        factor = _SECONDS.get(self.unit.lower())
        numeric = isinstance(self.value, (int, float)) and not isinstance(self.value, bool)
        return float(self.value * factor) if factor and numeric and abs(self.value) <= _LONGEST_S / factor else None


_SECONDS = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600),
    **dict.fromkeys(("d", "day", "days"), 86400),
    **dict.fromkeys(("w", "week", "weeks"), 7 * 86400),
    **dict.fromkeys(("mo", "month", "months"), 30 * 86400),
    **dict.fromkeys(("y", "yr", "year", "years"), 365 * 86400),
}
_LONGEST_S = 1000 * 365 * 86400


@dataclass(frozen=True, slots=True)
class Server:
    """Where a source lies, as an ODCS `servers` entry says; `settings` holds every other key of it.

    The transform reads it under `name`. An environment may override any setting by that name.
    """

    name: str
    type: str
    settings: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    mark: Mark = NOWHERE


@dataclass(frozen=True, slots=True)
class Partitioning:
    """How a table is cut in time: `unit` is `day` or `week` (weeks start on Monday), `start` the first partition.

    `batch` says how a run over several partitions calls the transform: `each` once a partition, or `range` once
    for the whole range, whose rows are then dealt out by `column` (equal only if no row depends on the bounds).
    """

    column: str
    unit: str
    start: date
    end: date | None = None
    batch: str = "each"


@dataclass(frozen=True, slots=True)
class Transform:
    """How a table is made: the text of `transforms/<table>.sql` or the path of `transforms/<table>.py`."""

    kind: str  # "sql" or "python"
    path: Path
    text: str
    mark: Mark = NOWHERE


@dataclass(frozen=True, slots=True)
class Table:
    """One table of a product: its contract (ODCS) and how it is made.

    `contract_hash` is the SHA-256 of the contract's canonical JSON, so that comments and layout do not count;
    `contract_text` is the file as it stands. `transform` is None for a pass-through of the one server.
    """

    name: str
    contract_id: str
    contract_version: str
    columns: tuple[Column, ...]
    rules: tuple[Rule, ...]
    description: str = ""
    slas: tuple[Sla, ...] = ()
    servers: tuple[Server, ...] = ()
    partitioning: Partitioning | None = None
    valid_thru: str = ""  # the event-time column whose maximum says until when the table is complete
    transform: Transform | None = None
    contract_hash: str = ""
    contract_text: str = ""
    status: str = ""
    raw: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    mark: Mark = NOWHERE
    treatments: tuple[Treatment, ...] = ()
    quarantine_limit: Threshold | None = None  # of all rows that one version may set aside

    @property
    def primary_key(self) -> tuple[str, ...]:
        """Names of the key columns, in key order; empty if the contract declares none."""
        keyed = sorted((c.primary_key, c.name) for c in self.columns if c.primary_key)
        return tuple(name for _, name in keyed)

    def column(self, name: str) -> Column:
        """Return the column called `name`. Raises: KeyError."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)


@dataclass(frozen=True, slots=True)
class InputPort:
    """A table of another product that this one reads, under `name`, relying on `version` of its contract."""

    name: str
    contract_id: str
    version: str
    source: TableRef | None = None  # resolved against the project; None if only the ledger knows it
    mark: Mark = NOWHERE


@dataclass(frozen=True, slots=True)
class OutputPort:
    """A table that this product publishes."""

    name: str
    version: str
    contract_id: str
    description: str = ""
    mark: Mark = NOWHERE


@dataclass(frozen=True, slots=True)
class Member:
    """A person of the team; `role` is `owner`, `technicalOwner`, `steward` or any other word."""

    username: str
    role: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a product refreshes."""

    cron: str
    timezone: str = "UTC"
    mark: Mark = NOWHERE


@dataclass(frozen=True, slots=True)
class DataProduct:
    """One data product, with everything that its files declare resolved."""

    domain: str
    name: str
    version: str
    layer: Layer
    status: Status
    folder: Path
    tables: tuple[Table, ...]
    purpose: str = ""
    description: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    tier: Tier | None = None
    team: str = ""
    members: tuple[Member, ...] = ()
    audience: tuple[str, ...] = ()
    consumers: tuple[Mapping[str, Any], ...] = ()  # those that are not marked gone
    value_measure: str = ""
    inputs: tuple[InputPort, ...] = ()
    outputs: tuple[OutputPort, ...] = ()
    schedule: Schedule | None = None
    sunset: date | None = None
    tags: tuple[str, ...] = ()
    design: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    raw: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    mark: Mark = NOWHERE
    objectives: tuple[Objective, ...] = ()
    trust: Trust | None = None  # what slo.yaml says beside objectives

    @property
    def major(self) -> int:
        """The major number of the product's version."""
        return version_numbers(self.version)[0]

    @property
    def address(self) -> str:
        """`<domain>/<name>`, with `@v<major>` from the second major on."""
        return f"{self.domain}/{self.name}" + (f"@v{self.major}" if self.major > 1 else "")

    @property
    def owner(self) -> Member | None:
        """The accountable owner: the first member whose role is `owner`."""
        return next((m for m in self.members if m.role == "owner"), None)

    @property
    def published(self) -> frozenset[str]:
        """Names of the tables that an output port offers."""
        offered = {port.contract_id for port in self.outputs}
        return frozenset(t.name for t in self.tables if t.contract_id in offered)

    def table(self, name: str) -> Table:
        """Return the table called `name`. Raises: KeyError."""
        for table in self.tables:
            if table.name == name:
                return table
        raise KeyError(name)
