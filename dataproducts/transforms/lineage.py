"""Which input columns each column of a table is made of; it reads the transform's text and runs nothing."""

from __future__ import annotations

import ast
from functools import lru_cache
from typing import TYPE_CHECKING

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, build_scope

from dataproducts.errors import DeclarationError, Fault, suggest
from dataproducts.transforms.dependencies import reading

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from dataproducts.product import Table, Transform

    Source = tuple[str, str]
    Schemas = Mapping[str, Mapping[str, str]]


class _UnresolvedError(Exception):
    """A column whose origin the SQL does not tell."""


def column_lineage(table: Table, schemas: Schemas) -> dict[str, tuple[Source, ...]]:
    """Return, for each column of the contract, the (relation, column) pairs that its value is made of, sorted.

    SQL: what stands in the SELECT, through subqueries and common table expressions; what only filters, joins, groups
    or sorts is not counted. Python: the module's constant `LINEAGE = {"out": ["relation.column"]}`. A pass-through is
    one to one. Where the text does not tell, a column depends on every input column, so that nothing is left out.

    `schemas` gives the type of each column of each relation read. A relation may be absent (a source has no contract):
    its columns are then known as far as the text names them.
    Raises: DeclarationError, if the text has faults.
    """
    names = [column.name for column in table.columns]
    if table.transform is None:
        server = table.servers[0].name if table.servers else ""
        return {column.name: ((server, column.physical_name or column.name),) for column in table.columns}
    read = reading(table.transform, table.name)
    known = {name: schemas[name] for name in read.lines if name in schemas}
    every = tuple(sorted((name, column) for name, columns in known.items() for column in columns))
    if read.tree is None:
        return _declared(table.transform, names, every)
    every = tuple(sorted({*every, *_mentioned(read.tree, set(read.lines) - set(known))}))
    try:
        tracer = _Tracer(read.tree, known, read.lines)
    except (SqlglotError, _UnresolvedError):
        return dict.fromkeys(names, every)
    return {name: tracer.origins(name, every) for name in names}


def untraced(table: Table, schemas: Schemas) -> frozenset[str]:
    """Return the columns of `table` of which the text does not tell what they are made of; `schemas` as above.

    A relation that `schemas` lacks is known by the columns that the text names. Raises: DeclarationError, as above.
    """
    names = frozenset(column.name for column in table.columns)
    if table.transform is None:
        return frozenset()
    given = tuple((name, tuple(columns.items())) for name, columns in sorted(schemas.items()))
    return _untraced(table.transform, table.name, names, given)


@lru_cache(maxsize=512)  # a watch asks every five minutes, and the answer follows from the texts
def _untraced(
    transform: Transform, table: str, names: frozenset[str], given: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
) -> frozenset[str]:
    read = reading(transform, table)
    if read.tree is None:
        return names - (_constant(transform)[1] or {}).keys()
    schemas = {name: dict(columns) for name, columns in given if name in read.lines}
    try:
        tracer = _Tracer(read.tree, schemas, read.lines)
    except (SqlglotError, _UnresolvedError):
        return names
    return frozenset(name for name in names if not tracer.traces(name))


def lineage_faults(table: Table, schemas: Schemas) -> tuple[Fault, ...]:
    """Return what is wrong with the `LINEAGE` of a Python transform; it never raises.

    Columns of relations that `schemas` lacks are not looked at.
    """
    if table.transform is None or table.transform.kind != "python":
        return ()
    try:
        read = reading(table.transform, table.name)
    except DeclarationError:
        return ()
    path = table.transform.mark.path or str(table.transform.path)
    line, declared = _constant(table.transform)
    if declared is None:
        what = "LINEAGE is not a literal {'column': ['relation.column']}"
        return (Fault(path, line, what, "Write it out, without calls."),) if line else ()
    names = [column.name for column in table.columns]
    found = [
        Fault(path, line, f"LINEAGE names {out!r}, no column of {table.name!r}.{suggest(out, names)}", "Correct it.")
        for out in declared
        if out not in names
    ]
    for source in sorted({source for sources in declared.values() for source in sources}):
        relation, _, column = source.partition(".")
        if relation not in read.lines:
            known = suggest(relation, tuple(read.lines))
            what = f"LINEAGE names {source!r}, but {relation!r} is no input.{known}"
        elif relation in schemas and column not in schemas[relation]:
            what = f"LINEAGE names {source!r}, no column of it.{suggest(column, tuple(schemas[relation]))}"
        else:
            continue
        found.append(Fault(path, line, what, "Write `relation.column` of an input."))
    return tuple(sorted(found))


def _declared(transform: Transform, names: Iterable[str], every: tuple[Source, ...]) -> dict[str, tuple[Source, ...]]:
    _, declared = _constant(transform)
    made: dict[str, tuple[Source, ...]] = {}
    for name in names:
        sources = (declared or {}).get(name)
        split = (source.partition(".") for source in sources or ())
        made[name] = every if sources is None else tuple(sorted({(part[0], part[2]) for part in split}))
    return made


def _constant(transform: Transform) -> tuple[int, dict[str, list[str]] | None]:
    """The line and value of LINEAGE: line 0 if the module has none, None if it is not what it should be."""
    for node in ast.parse(transform.text).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == "LINEAGE" for target in targets):
            try:
                value = ast.literal_eval(getattr(node, "value", None) or "")
            except (ValueError, TypeError, SyntaxError):
                return node.lineno, None
            return node.lineno, value if _is_lineage(value) else None
    return 0, None


def _is_lineage(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(out, str) and isinstance(sources, list | tuple) and all(isinstance(s, str) for s in sources)
        for out, sources in value.items()
    )


class _Tracer:
    """Follows columns from the outermost SELECT to the relations, each scope's column once."""

    def __init__(self, tree: exp.Query, schemas: Schemas, relations: Iterable[str]) -> None:
        if any(clause.recursive for clause in tree.find_all(exp.With)):
            raise _UnresolvedError  # what a step adds may come from any column of the step before
        qualified = qualify(
            tree.copy(),
            dialect="duckdb",
            schema={name: dict(columns) for name, columns in schemas.items()},
            validate_qualify_columns=False,
            quote_identifiers=False,
            identify=False,
        )
        scope = build_scope(qualified)
        if scope is None:
            raise _UnresolvedError
        self.root = scope
        self.schemas = schemas
        self.relations = {name.lower(): name for name in relations}
        spelled = [(name, column) for name, columns in schemas.items() for column in columns]
        spelled += _mentioned(tree, set(relations) - set(schemas))
        self.spelling = {(name, column.lower()): column for name, column in spelled}
        self.seen: dict[tuple[int, str], set[Source]] = {}

    def origins(self, name: str, every: tuple[Source, ...]) -> tuple[Source, ...]:
        """The origins of one output column; `every` input column if they cannot be told."""
        try:
            return tuple(sorted(self._of_output(self.root, name.lower())))
        except (_UnresolvedError, SqlglotError):
            return every

    def traces(self, name: str) -> bool:
        """Whether the origins of one output column can be told."""
        try:
            self._of_output(self.root, name.lower())
        except (_UnresolvedError, SqlglotError):
            return False
        return True

    def _of_output(self, scope: Scope, name: str) -> set[Source]:
        key = (id(scope), name)
        if key not in self.seen:
            self.seen[key] = self._follow(scope, name)
        return self.seen[key]

    def _follow(self, scope: Scope, name: str) -> set[Source]:
        expression = scope.expression
        if isinstance(expression, exp.SetOperation):
            return self._of_branches(scope, expression, name)
        if not isinstance(expression, exp.Select):
            return self._of_columns(scope, expression)
        for projection in expression.selects:
            if projection.alias_or_name.lower() == name and not projection.is_star:
                return self._of_columns(scope, projection)
        stars = [projection for projection in expression.selects if projection.is_star]
        if not stars:
            raise _UnresolvedError
        return self._of_star(scope, name)

    def _of_branches(self, scope: Scope, expression: exp.SetOperation, name: str) -> set[Source]:
        """A column of a UNION is made of the columns at its place, or of its name, in every branch."""
        branches = scope.set_operation_scopes
        names = [_output_names(branch) for branch in branches]
        if expression.args.get("by_name"):
            made = [self._of_output(b, name) for b, known in zip(branches, names, strict=True) if name in known]
        elif name in names[0]:
            at = names[0].index(name)
            made = [self._of_output(b, known[at]) for b, known in zip(branches, names, strict=True) if at < len(known)]
        else:
            raise _UnresolvedError
        return set().union(*made)

    def _of_star(self, scope: Scope, name: str) -> set[Source]:
        """A star that could not be expanded, for the columns of a relation are unknown: the name goes through it."""
        tables = [source for source in scope.sources.values() if isinstance(source, exp.Table)]
        if len(scope.sources) != 1:
            raise _UnresolvedError
        if tables:
            return {self._source(tables[0], name)}
        (inner,) = scope.sources.values()
        return self._of_output(inner, name) if isinstance(inner, Scope) else set()

    def _of_columns(self, scope: Scope, expression: exp.Expr) -> set[Source]:
        """All that the columns within `expression`, and the subqueries within it, are made of."""
        if scope.pivots:
            raise _UnresolvedError
        inner = [nested for nested in scope.subquery_scopes if _is_within(nested.expression, expression)]
        made: set[Source] = set()
        for nested in inner:
            made |= self._of_columns(nested, nested.expression)
        for column in _own_columns(expression, [nested.expression for nested in inner]):
            made |= self._of_column(scope, column)
        return made

    def _of_column(self, scope: Scope, column: exp.Column) -> set[Source]:
        if not column.table:
            return set() if _is_lambda_variable(column) else self._of_unknown(scope, column)
        at: Scope | None = scope
        while at is not None and column.table not in at.sources:
            at = at.parent
        if at is None:
            raise _UnresolvedError
        source = at.sources[column.table]
        if isinstance(source, exp.Table):
            is_function = not isinstance(source.this, exp.Identifier)
            return self._of_columns(at, source.this) if is_function else {self._source(source, column.name)}
        return self._of_output(source, column.name.lower()) if isinstance(source, Scope) else set()

    def _of_unknown(self, scope: Scope, column: exp.Column) -> set[Source]:
        """A bare name that no known relation has: it is a column of one of the others."""
        sources = [source for _, source in scope.selected_sources.values() if isinstance(source, exp.Table)]
        found = {self._source(source, column.name) for source in sources if isinstance(source.this, exp.Identifier)}
        unknown = {(relation, name) for relation, name in found if relation not in self.schemas}
        if not unknown:
            raise _UnresolvedError
        return unknown

    def _source(self, node: exp.Table, column: str) -> Source:
        if not isinstance(node.this, exp.Identifier):
            raise _UnresolvedError
        relation = self.relations.get(node.name.lower(), node.name)
        return relation, self.spelling.get((relation, column.lower()), column)


def _mentioned(tree: exp.Query, relations: Iterable[str]) -> Iterator[Source]:
    """Every column that the text may mean of relations whose columns are unknown: all names that it mentions."""
    names = {column.name for column in tree.find_all(exp.Column) if not isinstance(column.this, exp.Star)}
    return ((relation, name) for relation in relations for name in names)


def _output_names(scope: Scope) -> list[str]:
    expression = scope.expression
    return [name.lower() for name in expression.named_selects] if isinstance(expression, exp.Query) else []


def _is_within(node: exp.Expr, outer: exp.Expr) -> bool:
    at: exp.Expr | None = node
    while at is not None and at is not outer:
        at = at.parent
    return at is outer and node is not outer


def _own_columns(expression: exp.Expr, nested: list[exp.Expr]) -> Iterator[exp.Column]:
    for node in expression.walk(prune=lambda found: any(found is query for query in nested)):
        if isinstance(node, exp.Column) and not isinstance(node.this, exp.Star):
            yield node


def _is_lambda_variable(column: exp.Column) -> bool:
    enclosing = column.find_ancestor(exp.Lambda)
    return enclosing is not None and any(column.name == variable.name for variable in enclosing.expressions)
