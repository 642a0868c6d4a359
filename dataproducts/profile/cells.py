"""One column grouped by value, and what follows from that; it must not know the table it belongs to."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dataproducts.profile.bins import bins_query, fences, histogram, layout
from dataproducts.profile.column import as_number
from dataproducts.profile.model import HIDDEN, Count, Length, Outliers, TextFigures
from dataproducts.profile.patterns import EXACT_SHAPES, guarded_shape, run_shape, shape
from dataproducts.profile.personal import EMAIL, IDENTIFIER, PHONE, identified, is_nearly_all, shows_address
from dataproducts.rules.predicates import Family
from dataproducts.sql import literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import duckdb

    from dataproducts.profile.column import Column
    from dataproducts.profile.model import ColumnProfile

_TOP, _ENDS, _PATTERNS, _LONGEST = 10, 5, 8, 80
_SHAPED_VALUES = 50_000  # distinct values; of more, some are taken
_PROVED_VALUES = 1_000  # distinct values whose check digits are tried, chosen by their hashes
_LEAST_CARD = 1e12  # 13 digits
_PLACEHOLDERS = (
    "n/a", "na", "n.a.", "null", "none", "nil", "nan", "unknown", "undefined", "missing", "not available", "tbd", "tba",
    "?", "??", "-", "--", ".", "x", "xx", "xxx", "#n/a", "#ref!", "#value!", "9999-12-31", "0000-00-00",
)  # fmt: skip
_NUMERIC = (Family.EXACT, Family.FLOAT)


def distribution(
    con: duckdb.DuckDBPyConnection, relation: str, column: Column, found: ColumnProfile, *, grouped: bool
) -> ColumnProfile:
    """Return `found` with distinct, unique, most frequent and extreme values, outliers and bins, in one statement."""
    shown = _shown(column.kind)
    parts = {}
    if grouped:
        parts["distinct"] = f"SELECT count(*) FROM {_CELLS}"
        parts["unique"] = f"SELECT count(*) FILTER (WHERE n = 1) FROM {_CELLS}"
        parts["top"] = _listed(shown, "n DESC, v", _TOP)
        if column.is_ordered:
            parts |= {"lowest": _listed(shown, "v", _ENDS), "highest": _listed(shown, "v DESC", _ENDS)}
        else:
            parts["rare"] = _listed(shown, "n, v", _ENDS)
    else:
        frequent = f"SELECT unnest(approx_top_k(v, {_TOP})) FROM {_CELLS}"
        counted = f"(SELECT v, count(*) AS n FROM {_CELLS} WHERE v IN ({frequent}) GROUP BY v)"
        parts["top"] = _listed(shown, "n DESC, v", _TOP, counted)
    beyond, edges = fences(column, found), layout(column, found)
    x = as_number("v", column.kind)
    if beyond:
        low, high = (literal(float(fence)) for fence in beyond)
        for side, test in (("below", f"{x} < {low}"), ("above", f"{x} > {high}")):
            parts[side] = f"SELECT coalesce(sum(n) FILTER (WHERE {test} AND isfinite({x})), 0)::BIGINT FROM {_CELLS}"
    if edges:
        parts["bins"] = bins_query(x, edges, _CELLS)
    if column.is_number and float(found.maximum or 0) >= _LEAST_CARD:
        whole = f"v BETWEEN {_LEAST_CARD} AND 1e19 AND v = floor(v)"
        parts["identifiers"] = _identifiers(f"CASE WHEN {whole} THEN CAST(CAST(v AS HUGEINT) AS VARCHAR) END")
    row = _ask(con, relation, column, parts, grouped=grouped)
    got = dict(zip(parts, row, strict=True))
    return replace(
        found,
        distinct=got.get("distinct", found.distinct),
        unique=got.get("unique"),
        top=_counts(got["top"]),
        rare=_counts(got.get("rare")),
        lowest=_counts(got.get("lowest")),
        highest=_counts(got.get("highest")),
        outliers=Outliers(*beyond, got["below"], got["above"]) if beyond else None,
        histogram=histogram(edges, got["bins"]) if edges else None,
        personal=_identified(got.get("identifiers"), found.values),
    )


def text_figures(
    con: duckdb.DuckDBPyConnection, relation: str, column: Column, found: ColumnProfile, *, grouped: bool
) -> ColumnProfile:
    """Return `found` with what only text has; shapes are made of distinct values, so that few are computed twice."""
    blank = "(9, 10, 13, 32, 160)"
    trimmed = (
        f"CASE WHEN ascii(v) IN {blank} OR ascii(right(v, 1)) IN {blank} "
        "THEN trim(v, ' ' || chr(9) || chr(10) || chr(13) || chr(160)) ELSE v END"
    )
    every = 1 + (found.distinct or 0) // _SHAPED_VALUES
    listed = literal(list(_PLACEHOLDERS))

    def rows(test: str) -> str:
        return f"SELECT coalesce(sum(n) FILTER (WHERE {test}), 0)::BIGINT FROM {_CELLS}"

    runs, guarded = (f"(SELECT {spelled('v')} AS v, sum(n)::BIGINT AS n FROM {_SHAPES} GROUP BY 1)" for spelled in (
        run_shape, guarded_shape))  # fmt: skip
    placeholders = f"(SELECT * FROM {_CELLS} WHERE list_contains({listed}, lower({trimmed})))"
    parts = {
        "blanks": rows(f"{trimmed} = ''"),
        "padded": rows(f"{trimmed} <> '' AND {trimmed} <> v"),
        "placeholders": _listed("v", "n DESC, v", 5, placeholders if grouped else _grouped(placeholders)),
        "variants": f"SELECT count(*) - count(DISTINCT lower({trimmed})) FROM {_CELLS}" if grouped else "0",
        "emails": rows(f"regexp_full_match({trimmed}, {literal(EMAIL)})"),
        "phones": rows(f"regexp_full_match({trimmed}, {literal(PHONE)})"),
        "identifiers": _identifiers(trimmed),
        "length": f"SELECT [min(length(v)), max(length(v))] FROM {_CELLS}",
        "shapes": _listed("v", "n DESC, v", EXACT_SHAPES + 1, _SHAPES),
        "runs": _listed("v", "n DESC, v", _PATTERNS, runs),
        "guarded": _listed("v", "n DESC, v", _PATTERNS, guarded),
        "kinds": f"SELECT count(*) FROM {runs}",
    }
    got = dict(zip(parts, _ask(con, relation, column, parts, grouped=grouped, every=every), strict=True))
    if every > 1:
        found = replace(found, approximate=(*found.approximate, "patterns"))
    few = len(got["shapes"]) <= min(EXACT_SHAPES, got["kinds"] + 1)
    text = TextFigures(
        blanks=got["blanks"],
        padded=got["padded"],
        placeholders=_counts(got["placeholders"]),
        variants=got["variants"],
        emails=got["emails"],
        phones=got["phones"],
        length=Length(*got["length"]),
        patterns=_shapes(got["shapes"][:_PATTERNS] if few else got["runs"]),
        pattern_count=len(got["shapes"]) if few else got["kinds"],
        guarded=_shapes(got["guarded"]),
    )
    return replace(found, text=text, personal=_identified(got.get("identifiers"), found.values))


def _identifiers(text: str) -> str:
    """A query for the rows whose `text` has the form of a card number or an IBAN, and for some of these texts."""
    # The lengths are compared first, for a pattern costs more.
    fits = f"length({text}) BETWEEN 13 AND 68 AND regexp_full_match({text}, {literal(IDENTIFIER)})"
    found = f"(SELECT {text} AS t, sum(n)::BIGINT AS n FROM {_CELLS} WHERE {fits} GROUP BY 1)"
    some = f"min_by(t, hash(t), {_PROVED_VALUES})"
    return f"SELECT {{'rows': coalesce(sum(n), 0)::BIGINT, 'texts': coalesce({some}, [])}} FROM {found}"


def _identified(found: Mapping[str, Any] | None, values: int) -> str:
    return identified(found["texts"]) if found and is_nearly_all(found["rows"], values) else ""


_CELLS, _SHAPES = '"_profiled cells"', '"_profiled shapes"'


def _ask(
    con: duckdb.DuckDBPyConnection,
    relation: str,
    column: Column,
    parts: Mapping[str, str],
    *,
    grouped: bool,
    every: int = 1,
) -> Sequence[Any]:
    """Answer scalar queries on the column's values `v` with their counts `n`; shapes are of one value in `every`."""
    value = column.sql if column.kind is not Family.OTHER else f"CAST({column.sql} AS VARCHAR)"
    values = f"(SELECT {value} AS v FROM {relation})"
    cells = (
        f"{_CELLS} AS MATERIALIZED (SELECT v, count(*) AS n FROM {values} WHERE v IS NOT NULL GROUP BY v)"
        if grouped
        else f"{_CELLS} AS NOT MATERIALIZED (SELECT v, 1 AS n FROM {values} WHERE v IS NOT NULL)"
    )
    if any(_SHAPES in sql for sql in parts.values()):
        some = f"WHERE hash(v) % {every} = 0" if every > 1 else ""
        shapes = f"SELECT {shape('v')} AS v, (sum(n) * {every})::BIGINT AS n FROM {_CELLS} {some} GROUP BY 1"
        cells += f", {_SHAPES} AS MATERIALIZED ({shapes})"
    row = con.execute(f"WITH {cells} SELECT {', '.join(f'({sql})' for sql in parts.values())}").fetchone()
    return row or ()


def _grouped(cells: str) -> str:
    return f"(SELECT v, count(*) AS n FROM {cells} GROUP BY v)"


def _listed(shown: str, order: str, limit: int, cells: str = _CELLS) -> str:
    """A query for the first cells in an order, as one list."""
    first = f"(SELECT v, n FROM {cells} ORDER BY {order} LIMIT {limit})"
    return f"SELECT coalesce(list({{'v': {shown}, 'n': n}} ORDER BY {order}), []) FROM {first}"


def _shown(kind: Family) -> str:
    """SQL for a value as Python and JSON can carry it."""
    return "v" if kind in _NUMERIC else f"left(CAST(v AS VARCHAR), {_LONGEST})"


def _counts(cells: Sequence[Mapping[str, Any]] | None) -> tuple[Count, ...]:
    return tuple(Count(scrubbed(cell["v"]), cell["n"]) for cell in cells or ())


def _shapes(cells: Sequence[Mapping[str, Any]]) -> tuple[Count, ...]:
    return tuple(Count(cell["v"], cell["n"]) for cell in cells)


def scrubbed(value: Any) -> Any:
    """Return a value, hidden if it holds somebody's address: free text does so where nobody expects it."""
    return HIDDEN if shows_address(value) else value
