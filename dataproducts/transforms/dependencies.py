"""What the text of a transform says: what it reads, what is wrong with it and which version it is; it runs nothing."""

from __future__ import annotations

import ast
import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

import duckdb
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from dataproducts.errors import DeclarationError, Fault, suggest
from dataproducts.transforms.code import plain_python
from dataproducts.trial import database

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlglot import Token

    from dataproducts.product import Table, Transform

BOUNDS = ("partition_start", "partition_end")
"""What a transform of a partitioned table may ask for besides its inputs; both are DATEs, half-open."""

FRAMES = {
    "duckdb.DuckDBPyRelation": "relation",
    "pandas.DataFrame": "pandas",
    "polars.DataFrame": "polars",
    "pyarrow.Table": "arrow",
}
"""The annotations that a Python transform may use, and what each makes of an input."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OUTSIDE = frozenset(
    {
        "current_setting",
        "currval",
        "getenv",
        "getvariable",
        "nextval",
        "query",
        "query_table",
        "setseed",
        "which_secret",
    }
)  # functions of values that look outside the rows
_TABLE_FUNCTIONS = (exp.GenerateSeries, exp.Unnest, exp.Values)
_ALIASES = {"duckdb.duckdb.DuckDBPyRelation": "duckdb.DuckDBPyRelation", "pyarrow.lib.Table": "pyarrow.Table"}


@dataclass(frozen=True, slots=True)
class Reading:
    """What one transform reads: `lines` by relation name, `forms` (Python only) the frame each input is given as."""

    lines: Mapping[str, int]
    parameters: Mapping[str, int]
    faults: tuple[Fault, ...]
    forms: Mapping[str, str]
    tree: exp.Query | None = None


def dependencies(transform: Transform, table: str) -> tuple[str, ...]:
    """Return the names of the relations that the transform of `table` reads, sorted and without repeats.

    SQL: every table that is no common table expression; Python: the parameters besides the partition's bounds.
    Raises: DeclarationError, with every fault of the text.
    """
    return tuple(sorted(read_lines(transform, table)))


def read_lines(transform: Transform, table: str) -> Mapping[str, int]:
    """Return the line of the first mention of each relation that the transform reads.

    Raises: DeclarationError, with every fault of the text.
    """
    return reading(transform, table).lines


def reading(transform: Transform, table: str) -> Reading:
    """Return what the transform reads, with its parsed SQL. Raises: DeclarationError, with every fault of the text."""
    read = _read(transform.kind, transform.text, _path(transform), table)
    if read.faults:
        raise DeclarationError(read.faults)
    return read


def faults(transform: Transform, table: str, *, partitioned: bool | None = None) -> tuple[Fault, ...]:
    """Return all that is wrong with the text of a transform; it never raises.

    `partitioned` says whether the contract cuts the table in time: if it does, the text has to use a bound of the
    partition, and if it does not, it cannot. None leaves that open.
    """
    read = _read(transform.kind, transform.text, _path(transform), table)
    found = list(read.faults)
    used = [name for name in BOUNDS if name in read.parameters]
    prefix = "$" if transform.kind == "sql" else ""
    if partitioned is True and not used and not found:
        what = f"table {table!r} is partitioned, but its transform reads neither {prefix}{BOUNDS[0]} nor {BOUNDS[1]}"
        fix = f"Keep only the rows from {prefix}{BOUNDS[0]} (included) to {prefix}{BOUNDS[1]} (excluded)."
        found.append(Fault(_path(transform), 1, what, fix))
    if partitioned is False:
        found.extend(
            Fault(
                _path(transform),
                read.parameters[name],
                f"{prefix}{name} is used, but the contract of {table!r} declares no `partition`",
                "Declare `partition` in the contract's customProperties or drop the parameter.",
            )
            for name in used
        )
    return tuple(sorted(set(found)))


def code_version(transform: Transform | None) -> str:
    """Return 16 hexadecimal digits that change with the meaning of the text; comments and layout do not count.

    The modules of the project that a Python transform imports are part of its meaning.
    """
    if transform is None:
        return "pass-through"
    home = next((folder for folder in transform.path.parents if (folder / "assets").is_dir()), None)
    try:
        text = _sql_tokens(transform.text) if transform.kind == "sql" else plain_python(transform.text, home)
    except (SqlglotError, SyntaxError, ValueError):
        text = transform.text
    return hashlib.sha256(f"{transform.kind}\n{text}".encode()).hexdigest()[:16]


def inline_bounds(text: str, values: Mapping[str, str]) -> str:
    """Return the SQL `text` with each `$name` of `values` replaced by its SQL, leaving all else as written."""
    tokens = sqlglot.tokenize(text, read="duckdb")
    pieces, at = [], 0
    for sign, name in pairwise(tokens):
        if _is_dollar(sign) and sign.end + 1 == name.start and name.text in values:
            pieces += [text[at : sign.start], values[name.text]]
            at = name.end + 1
    return "".join([*pieces, text[at:]])


def body(text: str) -> str:
    """Return the SQL `text` without the semicolon that may end it, so that it can stand in brackets."""
    tokens = sqlglot.tokenize(text, read="duckdb")
    while tokens and tokens[-1].text == ";":
        text = text[: tokens[-1].start] + text[tokens[-1].end + 1 :]
        tokens.pop()
    return text


def place(table: Table, line: int = 0) -> str:
    """Return where to look when `table` cannot be made: `path:line` of its transform, or of its contract."""
    if table.transform is None:
        return str(table.mark) if table.mark.path else f"table {table.name!r}"
    return f"{_path(table.transform)}:{line or table.transform.mark.line or 1}"


def _path(transform: Transform) -> str:
    return transform.mark.path or str(transform.path)


@lru_cache(maxsize=512)
def _read(kind: str, text: str, path: str, table: str) -> Reading:
    return _read_sql(text, path) if kind == "sql" else _read_python(text, path, table)


def _nothing(path: str, line: int, what: str, fix: str) -> Reading:
    return Reading({}, {}, (Fault(path, line, what, fix),), {})


# --- SQL ---------------------------------------------------------------------------------------------------------


def _read_sql(text: str, path: str) -> Reading:
    """Parse with DuckDB, which decides what is SQL, then with sqlglot, which tells what is read."""
    try:
        with database().cursor() as con:
            statements = con.extract_statements(text)
    except duckdb.Error as error:
        return _nothing(path, *_syntax(str(error), text))
    if len(statements) != 1:
        what = f"a transform is one SELECT, and here are {len(statements)} statements"
        return _nothing(path, _line_of_second(text), what, "Keep one SELECT; use common table expressions for steps.")
    if statements[0].type != duckdb.StatementType.SELECT:
        what = f"a transform is one SELECT, and this is {statements[0].type.name}"
        return _nothing(path, _first_line(text), what, "Write the SELECT alone; the library writes its result.")
    try:
        tree = sqlglot.parse_one(body(text), read="duckdb")
    except (SqlglotError, RecursionError) as error:
        places = getattr(error, "errors", None) or [{}]
        what = f"DuckDB accepts this SQL but sqlglot cannot read its lineage: {places[0].get('description', error)}"
        return _nothing(path, places[0].get("line") or 1, what, "Write it with more usual clauses.")
    if not isinstance(tree, exp.Query):
        what = f"a transform is one SELECT, and this is {tree.key.upper()}"
        return _nothing(path, _first_line(text), what, "Begin with SELECT, WITH or FROM.")
    return _inspect(tree, text, path)


def _inspect(tree: exp.Query, text: str, path: str) -> Reading:
    lines: dict[str, int] = {}
    found: list[Fault] = []
    for node in tree.find_all(exp.Table):
        fault = _table_fault(node, path)
        if fault:
            found.append(fault)
        elif isinstance(node.this, exp.Identifier) and not _is_cte(node):
            line = _line(node)
            lines[node.name] = min(line, lines.get(node.name, line))
    for call in tree.find_all(exp.Anonymous):
        if call.name.lower() in _OUTSIDE and not isinstance(call.parent, exp.Table):
            fix = "Make the value a column of an input or a constant of the SELECT."
            found.append(Fault(path, _line(call), f"the function {call.name} reads what no contract declares", fix))
    parameters = dict(_parameters(text))
    found.extend(
        Fault(path, line, f"there is no parameter ${name}.{suggest(name, BOUNDS)}", "Use a bound of the partition.")
        for name, line in parameters.items()
        if name not in BOUNDS
    )
    return Reading(lines, parameters, tuple(sorted(set(found))), {}, tree)


def _table_fault(node: exp.Table, path: str) -> Fault | None:
    """Say what is wrong with something after FROM: a file, a function that reads files, or a qualified name."""
    source, line = node.this, _line(node)
    fix = "Read a sibling table, an input port or a server of the contract by its bare name."
    if not isinstance(source, exp.Identifier):
        if isinstance(source, _TABLE_FUNCTIONS):
            return None
        name = source.name if isinstance(source, exp.Anonymous) else source.sql_name().lower()
        return Fault(path, line, f"the table function {name} reads what no contract declares", fix)
    if node.args.get("db") or node.args.get("catalog"):
        return Fault(path, line, f"{node.sql(dialect='duckdb')!r} names a schema", fix)
    if not _NAME.fullmatch(node.name):
        return Fault(path, line, f"{node.name!r} is a file or no plain name", fix)
    return None


def _is_cte(node: exp.Table) -> bool:
    """Say whether the name of `node` is that of a common table expression in scope where it stands.

    Within a WITH an expression sees those before it, and itself only where the WITH is RECURSIVE.
    """
    name = node.name.lower()
    child: exp.Expr = node
    cte: exp.Expr | None = None
    parent = node.parent
    while parent is not None:
        if isinstance(parent, exp.CTE):
            cte = parent
        clause = parent.args.get("with_")
        if isinstance(clause, exp.With):
            visible = list(clause.expressions)
            if child is clause:
                at = next(i for i, known in enumerate(visible) if known is cte)
                visible = visible[: at + bool(clause.recursive)]
            if any(known.alias.lower() == name for known in visible):
                return True
        child, parent = parent, parent.parent
    return False


def _is_dollar(token: Token) -> bool:
    """Whether `token` is the sign that begins a parameter, and not a text or a name that is `$`."""
    return token.text == "$" and token.token_type.name not in {"STRING", "IDENTIFIER"}


def _parameters(text: str) -> Iterator[tuple[str, int]]:
    """Yield each parameter and the line of its first use; `?` counts as one without a name."""
    tokens = sqlglot.tokenize(text, read="duckdb")
    seen = set()
    for position, token in enumerate(tokens):
        if _is_dollar(token) and position + 1 < len(tokens):
            name = tokens[position + 1].text
        elif token.token_type.name == "PLACEHOLDER":
            name = token.text
        else:
            continue
        if name not in seen:
            seen.add(name)
            yield name, token.line


def _line(node: exp.Expr) -> int:
    """The line of `node` in its file, by the first of its parts that carries one."""
    return next((int(part.meta["line"]) for part in node.walk() if part.meta.get("line")), 1)


def _sql_tokens(text: str) -> str:
    return " ".join(text[token.start : token.end + 1] for token in sqlglot.tokenize(body(text), read="duckdb"))


def _first_line(text: str) -> int:
    return next((token.line for token in _tokens(text)), 1)


def _line_of_second(text: str) -> int:
    return next((after.line for before, after in pairwise(_tokens(text)) if before.text == ";"), 1)


def _tokens(text: str) -> list[Token]:
    """The tokens of `text`, none if sqlglot cannot tell them apart."""
    try:
        return sqlglot.tokenize(text, read="duckdb")
    except SqlglotError:
        return []


def _syntax(message: str, text: str) -> tuple[int, str, str]:
    """Turn DuckDB's parser message into (line, what, fix); one about the end of the text names no line itself."""
    found = re.search(r"^LINE (\d+):", message, flags=re.MULTILINE)
    last = text.rstrip().count("\n") + 1 if "end of input" in message else 1
    what = message.split("\n", maxsplit=1)[0].removeprefix("Parser Error: ")
    return int(found[1]) if found else last, f"the SQL does not parse: {what}", "Correct the SELECT (DuckDB's SQL)."


# --- Python ------------------------------------------------------------------------------------------------------


def _read_python(text: str, path: str, table: str) -> Reading:
    """Read the function's parameters from the text alone: nothing is imported, so nothing can run."""
    try:
        module = ast.parse(text)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        return _nothing(path, line, f"the Python does not parse: {error}", "Correct the syntax.")
    functions = {node.name: node for node in module.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    function = functions.get(table)
    if function is None:
        known = [name for name in functions if not name.startswith("_")]
        what = f"there is no function {table!r}.{suggest(table, known)}"
        return _nothing(path, 1, what, f"Define `def {table}(...)`, one parameter for each input.")
    found = list(_signature_faults(function, path))
    names = _imported_names(module)
    lines: dict[str, int] = {}
    bounds: dict[str, int] = {}
    forms: dict[str, str] = {}
    for argument in (*function.args.args, *function.args.kwonlyargs):
        if argument.arg in BOUNDS:
            bounds[argument.arg] = argument.lineno
            continue
        lines[argument.arg] = argument.lineno
        form = _form(argument.annotation, names)
        if form is None:
            what = f"the annotation of parameter {argument.arg!r} is no frame that can be given"
            found.append(Fault(path, argument.lineno, what, f"Use one of {', '.join(FRAMES)}, or none."))
        forms[argument.arg] = form or "relation"
    return Reading(lines, bounds, tuple(sorted(set(found))), forms)


def _signature_faults(function: ast.FunctionDef | ast.AsyncFunctionDef, path: str) -> Iterator[Fault]:
    given = function.args
    if isinstance(function, ast.AsyncFunctionDef):
        yield Fault(path, function.lineno, "a transform cannot be async", "Write `def`.")
    if given.vararg or given.kwarg or given.posonlyargs:
        what = "a transform names each of its inputs by a parameter"
        yield Fault(path, function.lineno, what, "Drop `*args`, `**kwargs` and `/`.")
    if given.defaults or any(default is not None for default in given.kw_defaults):
        what = "a parameter has a default, but every parameter is an input or a bound of the partition"
        yield Fault(path, function.lineno, what, "Make it a constant of the module.")


def _imported_names(module: ast.Module) -> dict[str, str]:
    """Map each name that an import binds, under TYPE_CHECKING as well, to what it stands for."""
    names: dict[str, str] = {}
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            for alias in node.names:
                bound = alias.asname or alias.name.split(".")[0]
                names[bound] = alias.name if alias.asname else bound
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
    return names


def _form(annotation: ast.expr | None, names: Mapping[str, str]) -> str | None:
    """The frame that an annotation asks for; None if it asks for something else."""
    if annotation is None:
        return "relation"
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        text = annotation.value
    else:
        text = ast.unparse(annotation)
    head, dot, rest = text.partition(".")
    full = names.get(head, head) + dot + rest
    return FRAMES.get(_ALIASES.get(full, full))
