"""Contracts as Python source that makes their pandera schema with pandera and pyarrow alone; it must not run it.

The source holds the parts of `checks` that its rules use, word for word, so that its verdicts are the same.
"""

from __future__ import annotations

import ast
import re
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from pprint import pformat
from typing import TYPE_CHECKING, Any

from dataproducts.errors import UnknownNameError
from dataproducts.frames.express import arrow_types, columns_of, express
from dataproducts.frames.schema import BACKENDS, column_facts, table_facts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from dataproducts.frames.express import Expressed
    from dataproducts.product import Column, Table

_WIDTH = 100
_DTYPES = {"pandas": "pd.ArrowDtype({})", "polars": "pl.Series(pa.array([], {})).dtype"}


def pandera_source(table: Table, *, backend: str = "pandas") -> str:
    """Return a Python module that assigns `schema`, equal to `pandera_schema(table, backend=backend)`.

    It imports pandera, pyarrow, NumPy and the library of the frames, and nothing of this package.

    Raises:
        UnknownNameError: there is no such backend.
        UsageError: a column has a type that no frame holds.
    """
    if backend not in BACKENDS:
        raise UnknownNameError("backend for frames", backend, BACKENDS)
    expressed, unsaid = express(table)
    types, dtype = arrow_types(table), _DTYPES[backend]
    fields = [
        f"        {column.name!r}: {_column(column, dtype.format(arrow_source(types[column.name])), expressed)},"
        for column in columns_of(table)
    ]
    whole = [f"        {_call(rule)}," for rule in expressed if rule.is_of_table]
    left_out = [f"#   {_line(rule['rule'])} ({rule['kind']}): {_line(rule['why'])}" for rule in unsaid]
    body = [
        *_runtime(expressed),
        *(["# Rules of the contract that this schema does not hold:", *left_out] if left_out else []),
        "schema = pandera.DataFrameSchema(",
        "    {",
        *fields,
        "    },",
        *(["    checks=[", *whole, "    ],"] if whole else []),
        "    strict=True,",
        f"    name={table.name!r},",
        *([f"    description={table.description!r},"] if table.description else []),
        f"    metadata={_indented({'dataproducts': table_facts(table, unsaid)}, 4)},",
        ")",
    ]
    lines = [
        f'"""{_line(f"Table {table.name} of contract {table.contract_id} {table.contract_version}", quote=True)}."""',
        "",
        "from __future__ import annotations",
        "",
        *_imports("\n".join(body), backend),
        *body,
    ]
    return "\n".join(lines) + "\n"


def _imports(body: str, backend: str) -> Iterator[str]:
    """Yield the imports that `body` needs, in the order that linters want."""
    wanted = [
        ("datetime", "import datetime"),
        ("", f"from decimal import {', '.join(n for n in _DECIMAL if re.search(rf'{n}', body))}"),
        ("", "from typing import Any"),
        ("", ""),
        ("np", "import numpy as np"),
        ("pd", "import pandas as pd"),
        ("", f"import pandera.{backend} as pandera"),
        ("pl", "import polars as pl"),
        ("", "import pyarrow as pa"),
        ("pc", "import pyarrow.compute as pc"),
        ("", "from pandera.api.checks import Check"),
    ]
    for name, line in wanted:
        is_local = name in {"pd", "pl"} and not backend.startswith("pandas" if name == "pd" else "polars")
        if not is_local and not line.endswith("import ") and (not name or re.search(rf"\b{name}\.", body)):
            yield line


_DECIMAL = ("ROUND_CEILING", "ROUND_FLOOR", "Decimal", "localcontext")


def _column(column: Column, dtype: str, expressed: Iterable[Expressed]) -> str:
    rules = [_call(rule) for rule in expressed if rule.columns == (column.name,)]
    listed = "".join(f"                {rule},\n" for rule in rules)
    facts = [f"metadata={ {'dataproducts': column_facts(column)}!r}"]
    facts += [f"title={column.term!r}"] if column.term else []
    facts += [f"description={column.description!r}"] if column.description else []
    return (
        f"pandera.Column(\n            {dtype},\n            [\n{listed}            ],\n            nullable=True,\n"
        + "".join(f"            {fact},\n" for fact in facts)
        + "        )"
    )


def _call(rule: Expressed) -> str:
    given = [repr(rule.rule.name), *([rule.rejects] if rule.rejects else [])]
    given += [f"columns={rule.columns!r}"] if rule.is_of_table and rule.columns else []
    given += [f"threshold={rule.threshold!r}"] if rule.threshold else []
    given += ["warns=True"] if not rule.rule.blocking else []
    given += [f"hidden={rule.hidden!r}"] if rule.hidden else []
    given += [f"{key}={value_source(value)}" for key, value in rule.params.items()]
    return f"RuleCheck({', '.join(given)})"


def value_source(value: Any) -> str:
    """Return Python source for a constant of a rule."""
    if isinstance(value, tuple):
        return f"({', '.join(map(value_source, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, float) and (value != value or value in {float("inf"), float("-inf")}):  # noqa: PLR0124 - NaN differs
        return f"float({str(value)!r})"
    if isinstance(value, datetime) and value.tzinfo:
        return repr(value.replace(tzinfo=None)).removesuffix(")") + ", tzinfo=datetime.timezone.utc)"
    if not isinstance(value, str | int | float | Decimal | date | time):
        raise TypeError(f"a {type(value).__name__} has no source")
    return repr(value)


def arrow_source(kind: Any) -> str:
    """Return Python source for an Arrow type, with `pa` for pyarrow."""
    import pyarrow as pa  # noqa: PLC0415 - takes a second to import

    types = pa.types
    given = ""
    if types.is_decimal(kind):
        name, given = f"decimal{kind.bit_width}", f"{kind.precision}, {kind.scale}"
    elif types.is_timestamp(kind):
        name, given = "timestamp", f"{kind.unit!r}{f', tz={kind.tz!r}' if kind.tz else ''}"
    elif types.is_time(kind):
        name, given = f"time{kind.bit_width}", repr(kind.unit)
    elif types.is_struct(kind):
        name, given = "struct", f"[{', '.join(_field_source(field) for field in kind)}]"
    elif types.is_map(kind):
        name, given = "map_", f"{arrow_source(kind.key_type)}, {arrow_source(kind.item_type)}"
    elif types.is_dictionary(kind):
        name, given = "dictionary", f"{arrow_source(kind.index_type)}, {arrow_source(kind.value_type)}"
    elif types.is_list(kind) or types.is_fixed_size_list(kind):
        size = f", {kind.list_size}" if types.is_fixed_size_list(kind) else ""
        name, given = "list_", f"{_field_source(kind.value_field)}{size}"
    else:
        name = _NAMES.get(str(kind), str(kind))
    return f"pa.{name}({given})"


def _field_source(field: Any) -> str:
    return f"pa.field({field.name!r}, {arrow_source(field.type)})"


_NAMES = {"bool": "bool_", "float": "float32", "double": "float64", "date32[day]": "date32", "halffloat": "float16"}


# --- The parts of `checks` ---------------------------------------------------------------------------------------


def _runtime(expressed: Iterable[Expressed]) -> Iterator[str]:
    """Yield the class of the checks, the functions that they use, and what those use."""
    text = Path(__file__).with_name("checks.py").read_text(encoding="utf-8")
    parts = _definitions(text)
    used: set[str] = set()
    wanted = {"RuleCheck", *(rule.rejects for rule in expressed if rule.rejects)}
    while wanted - used:
        name = min(wanted - used)
        used.add(name)
        wanted |= {node.id for node in ast.walk(parts[name]) if isinstance(node, ast.Name)} & parts.keys()
    lines = text.splitlines()
    for name, node in parts.items():
        if name in used:
            yield from ("",) if isinstance(node, ast.Assign) else ("", "")
            for line in lines[node.lineno - 1 : node.end_lineno]:
                yield re.sub(r"  # noqa: .*$", "", line)
    yield from ("", "")


def _definitions(text: str) -> Mapping[str, ast.stmt]:
    found: dict[str, ast.stmt] = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[node.name] = node
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = node
    return found


def _indented(value: Any, by: int) -> str:
    return pformat(value, width=_WIDTH - by, sort_dicts=False).replace("\n", "\n" + " " * by)


def _line(text: str, *, quote: bool = False) -> str:
    """Text of a contract as part of one line of a comment, or of a docstring."""
    plain = " ".join(text.split())
    return plain.replace("\\", "/").replace('"', "'") if quote else plain
