"""The plan against the naive form, rule by rule, on random rows in files of many writers.

`python -m tests.differential [CASES] [SEED]` prints how many rules were compared, by the method that answered them,
and every difference. A case is one rule on one file: the gate judges the file with every proof at hand; the naive form
counts, with one query a rule, rows that lie in a table of the engine and never were in a file.
"""

from __future__ import annotations

import itertools
import math
import random
import struct
import sys
import tempfile
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from unittest import mock

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from dataproducts.gate import Subject, judge
from dataproducts.product import Column, Rule, RuleKind, Table
from dataproducts.read import read_rows
from dataproducts.rules import distinct, unique
from dataproducts.rules.facts import Facts, Rows
from dataproducts.rules.predicates import failing_row, judged, newest, surplus

NOW = datetime(2024, 6, 1, tzinfo=UTC)
LEAST, GREATEST = 1_234_567_890_123, 1_234_567_899_999  # numbers whose bytes are found in a footer

TYPES = {
    "small": ("integer", "INTEGER", pa.int32()),
    "key": ("integer", "BIGINT", pa.int64()),
    "wide": ("integer", "UBIGINT", pa.uint64()),
    "money": ("number", "DECIMAL(12,2)", pa.decimal128(12, 2)),
    "ratio": ("number", "DOUBLE", pa.float64()),
    "single": ("number", "FLOAT", pa.float32()),
    "day": ("date", "DATE", pa.date32()),
    "at": ("timestamp", "TIMESTAMP", pa.timestamp("us")),
    "zoned": ("timestamp", "TIMESTAMP WITH TIME ZONE", pa.timestamp("us", "UTC")),
    "name": ("string", "VARCHAR", pa.string()),
    "code": ("string", "VARCHAR", pa.string()),
    "open": ("boolean", "BOOLEAN", pa.bool_()),
}
WORDS = (
    "",
    " ",
    "a",
    "A1",
    "abc-12",
    "Zoë",
    "e\u0301",
    "🍺" * 3,
    "x" * 300,
    "x" * 299 + "y",
    "NULL",
    "nan",
    "O'Hara",
    "\t",
)
PATTERNS = (r"^[A-Z]", r"\d", r"^.{2,5}$", r"^$", r"\s", r"^x+$", "é", "z|a")
ROOM = 3  # how many values lie beyond the bounds that rules draw


def value(draw: random.Random, name: str, spread: int) -> object:  # noqa: C901, PLR0911 - one case a type
    """Draw one value of column `name`, from about `spread` different ones."""
    n = draw.randrange(spread)
    match name:
        case "small":
            return n - spread // 2
        case "key":
            return draw.choice((LEAST, LEAST + n, GREATEST - n, -n))
        case "wide":
            return draw.choice((n, 2**64 - 1 - n))
        case "money":
            return Decimal(n - 2) / 4
        case "ratio" | "single":
            return draw.choice((float(n), n / 8, -0.0, math.nan, math.inf, -math.inf, float(n)))
        case "day":
            return date(2024, 1, 1) + timedelta(days=n)
        case "at":
            return datetime(2024, 1, 1) + timedelta(seconds=n * 3600, microseconds=draw.choice((0, 1)))  # noqa: DTZ001
        case "zoned":
            return datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=n)
        case "name":
            return WORDS[n % len(WORDS)]
        case "code":
            return f"C{n:05d}"
        case _:
            return n % 2 == 0


def make_rows(draw: random.Random) -> pa.Table:
    """Draw a table: some columns full, some with NULL, some of one value, keys dense, sparse, growing or repeated."""
    size = draw.choice((0, 1, 2, 7, 40, 150))
    columns = {}
    for name, (_, _, kind) in TYPES.items():
        hole, spread = draw.choice((0, 0, 0.1, 1)), draw.choice((1, 4, 50, 1000))
        found = [None if draw.random() < hole else value(draw, name, spread) for _ in range(size)]
        if name in ("small", "key") and draw.random() < 0.5:
            start, step = draw.choice((0, LEAST if name == "key" else 5)), draw.choice((1, 1, 3))
            found = [start + at * step for at in range(size)]
            if size > 2 and draw.random() < 0.4:
                found[draw.randrange(size)] = draw.choice((found[0], None))
        if name in ("code", "at") and draw.random() < 0.3:
            found = [
                f"C{at:05d}" if name == "code" else NOW.replace(tzinfo=None) + timedelta(days=at) for at in range(size)
            ]
            if size > 2 and draw.random() < 0.3:
                found[-1] = found[draw.randrange(size)]
        columns[name] = pa.array(found, kind)
    return pa.table(columns)


def make_rules(draw: random.Random) -> list[Rule]:
    """Draw rules of every library kind, with bounds that lie in, at and beyond what the columns hold."""
    rules = [Rule("rows", RuleKind.ROW_COUNT)]
    for name in TYPES:
        rules += [
            Rule(f"{name}.required", RuleKind.REQUIRED, (name,)),
            Rule(f"{name}.nulls", RuleKind.NULL_VALUES, (name,)),
        ]
        low, high = sorted((value(draw, name, 60), value(draw, name, 1200)), key=_order)
        if name not in ("name", "open"):
            both = draw.choice(
                (("minimum", "maximum"), ("exclusiveMinimum", "exclusiveMaximum"), ("minimum",), ("maximum",))
            )
            bounds = {end: low if "in" in end[-7:] and "inimum" in end else high for end in both}
            bounds = {end: _written(bound) for end, bound in bounds.items()}
            rules.append(Rule(f"{name}.range", RuleKind.RANGE, (name,), bounds))
        listed = [_written(value(draw, name, 6)) for _ in range(4)]
        rules.append(Rule(f"{name}.enum", RuleKind.ENUM, (name,), {"values": listed}))
        rules.append(Rule(f"{name}.missing", RuleKind.MISSING_VALUES, (name,), {"missingValues": [*listed[:2], None]}))
    for name in ("name", "code"):
        rules.append(Rule(f"{name}.pattern", RuleKind.PATTERN, (name,), {"pattern": draw.choice(PATTERNS)}))
        rules.append(Rule(f"{name}.pattern2", RuleKind.PATTERN, (name,), {"pattern": draw.choice(PATTERNS)}))
        valid = {"validValues": [value(draw, name, 9)], "pattern": draw.choice(PATTERNS)}
        rules.append(Rule(f"{name}.invalid", RuleKind.INVALID_VALUES, (name,), valid))
        rules.append(
            Rule(f"{name}.length", RuleKind.LENGTH, (name,), {"minLength": 1, "maxLength": draw.choice((2, 6, 299))})
        )
    for name in ("small", "key", "money"):
        rules.append(Rule(f"{name}.step", RuleKind.MULTIPLE_OF, (name,), {"multipleOf": draw.choice((1, 2, 0.5))}))
    keys = [(name,) for name in TYPES] + list(itertools.combinations(("small", "day", "code", "key"), 2))
    rules += [Rule(f"{'_'.join(key)}.unique", RuleKind.UNIQUE, key) for key in keys]
    age = {"max_age_s": draw.choice((1, 10**6, 10**9))}
    rules += [Rule(f"{name}.fresh", RuleKind.FRESHNESS, (name,), age) for name in ("day", "at", "zoned")]
    return rules


def _order(found: object) -> tuple[bool, object]:
    return isinstance(found, float) and math.isnan(found), found


def _written(found: object) -> object:
    """Return a value as YAML would hold it."""
    if isinstance(found, Decimal):
        return float(found)
    return found.isoformat() if isinstance(found, date) else found


def write(draw: random.Random, rows: pa.Table, path: Path) -> str:
    """Write `rows` the way that one of many tools would, and return which."""
    way = draw.choice(
        ("duckdb", "pyarrow", "pyarrow bare", "pyarrow part", "polars", "unknown", "absurd", "absurd nulls")
    )
    groups = draw.choice((3, 17, 1000))
    if way == "duckdb":
        with duckdb.connect() as con:
            con.register("rows", rows)
            con.execute(f"COPY rows TO '{path}' (FORMAT parquet, ROW_GROUP_SIZE {groups})")
    elif way == "polars":
        pl.from_arrow(rows).write_parquet(path, row_group_size=groups, statistics=draw.choice((True, False)))
    else:
        said = {"pyarrow bare": False, "pyarrow part": ["key", "name", "ratio"]}.get(way, True)
        version = draw.choice(("1.0", "2.0"))
        pq.write_table(
            rows, path, row_group_size=groups, write_statistics=said, data_page_version=version,
            use_dictionary=draw.choice((True, False)), use_deprecated_int96_timestamps=draw.choice((True, False)),
        )  # fmt: skip
        if way in ("unknown", "absurd", "absurd nulls"):
            path.write_bytes(_defaced(path.read_bytes(), way))
    return way


def _defaced(content: bytes, way: str) -> bytes:
    """Return a Parquet file by a writer that nobody knows, with statistics that are not true where `way` says so."""
    size = struct.unpack("<I", content[-8:-4])[0]
    footer = content[-8 - size : -8].replace(b"parquet-cpp-arrow version ", b"somebody-elses tool build ")
    if way == "absurd":
        footer = footer.replace(struct.pack("<q", LEAST), struct.pack("<q", LEAST + 5000))
    if way == "absurd nulls":
        for nulls in range(1, 40):  # field 3 of Statistics, a zigzag varint: after a minimum or a maximum
            footer = footer.replace(b"\x16" + bytes([nulls * 2]) + b"\x28\x08", b"\x16\x00\x28\x08")
    return content[: -8 - size] + footer + content[-8:]


def naive(con: duckdb.DuckDBPyConnection, rule: Rule, table: Table) -> float | None:
    """Return what `rule` counts in the engine's own table `held`, by a query of its own."""
    match rule.kind:
        case RuleKind.ROW_COUNT:
            query = "SELECT count(*) FROM held"
        case RuleKind.UNIQUE:
            query = surplus(rule, table, "held")
        case RuleKind.FRESHNESS:
            query = f"SELECT {NOW.timestamp()} - {newest(rule, table)} FROM {judged('held')}"
        case _:
            query = f"SELECT count(*) FROM {judged('held')} WHERE {failing_row(rule, table)}"
    return con.execute(query).fetchall()[0][0]


def compare(seed: int, folder: Path) -> tuple[Counter[str], list[str]]:
    """Judge one random file by random rules; return how many answers each method gave, and the differences."""
    draw = random.Random(seed)
    rows, rules = make_rows(draw), make_rules(draw)
    path = folder / f"{seed}.parquet"
    way = write(draw, rows, path)
    columns = tuple(Column(name, logical, sql) for name, (logical, sql, _) in TYPES.items())
    table = Table("held", "held", "1.0.0", columns, tuple(rules))
    methods: Counter[str] = Counter()
    wrong: list[str] = []
    with duckdb.connect() as con, duckdb.connect() as oracle:
        for one in (con, oracle):
            one.execute("SET TimeZone = 'UTC'")
        oracle.register("rows", rows)
        oracle.execute("CREATE TABLE held AS SELECT * FROM rows")
        read = read_rows(con, path, table)
        relation = Rows(read.relation, read.facts or Facts(rows.num_rows))
        with mock.patch.object(distinct, "_FEWEST_ROWS", 1), mock.patch.object(unique, "_FEWEST_ROWS", 1):
            subject = Subject(rows=relation, now=NOW, lookup=_no_table)
            results = judge(con, table, subject).results
        for result in results:
            expected = naive(oracle, result.rule, table)
            found = result.observed if result.failed_rows is None else result.failed_rows
            methods[f"{result.method} ({'sound' if read.facts else 'doubtful'})"] += 1
            same = expected == found or (result.rule.kind is RuleKind.FRESHNESS and _close(expected, found))
            if not same or result.error:
                wrong.append(
                    f"seed {seed}, {way}: {result.rule.name} by {result.method}: {found}, not {expected} {result.error}"
                )
    path.unlink()
    return methods, wrong


def _close(one: float | None, other: float | None) -> bool:
    return one is not None and other is not None and math.isclose(one, other, abs_tol=1e-3)


def _no_table(_ref: object) -> Rows:
    raise LookupError("there is no other table")


def run(cases: int, seed: int) -> tuple[Counter[str], list[str]]:
    """Compare at least so many cases, from `seed` on; return how many each method answered, and the differences."""
    methods: Counter[str] = Counter()
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        while methods.total() < cases:
            found, differences = compare(seed, Path(folder))
            methods += found
            wrong += differences
            seed += 1
    return methods, wrong


def main() -> None:
    """Compare, and say what came out."""
    cases, seed = (int(given) for given in (sys.argv[1:] + ["20000", "1"][len(sys.argv) - 1 :])[:2])
    methods, wrong = run(cases, seed)
    for method, times in methods.most_common():
        print(f"{times:8,}  {method}")
    print(f"{methods.total():8,}  cases, {len(wrong)} differences")
    print("\n".join(wrong[:20]))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
