"""Rules of `engine: greatExpectations`: suites of GX 1.x on the rows as a pandas frame; it must not write files.

great-expectations takes 4 to 12 seconds to import, so it is imported when the first such rule is judged. Rows are
counted once, however many expectations reject them; an expectation on the whole table or column counts as one fault.
"""

from __future__ import annotations

import re
import warnings
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dataproducts.errors import UnknownNameError, UsageError
from dataproducts.rules.custom.engines import expectations_of
from dataproducts.rules.custom.found import Found, frame_of, sample_of
from dataproducts.rules.masking import holds_classified

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import duckdb
    import pandas as pd

    from dataproducts.product import Rule, Table

_FORMAT = {"result_format": "COMPLETE", "return_unexpected_index_query": False, "include_unexpected_rows": False}
_PASSED_ON = ("meta", "notes", "description", "severity")
_COUNTS = re.compile(r"(element|missing|unexpected)_(count|percent\w*)$")


@dataclass(frozen=True, slots=True)
class Validation:
    """What GX said of one rule, for its Data Docs: `suite` and `result` are GX's own, without classified values."""

    table: str
    rule: str
    suite: Any
    result: Any


_kept: ContextVar[list[Validation] | None] = ContextVar("kept", default=None)


@contextmanager
def keep_validations() -> Iterator[list[Validation]]:
    """Yield a list that gains what GX says of every rule judged in this context."""
    kept: list[Validation] = []
    token = _kept.set(kept)
    try:
        yield kept
    finally:
        _kept.reset(token)


def import_gx() -> Any:
    """Return the module `great_expectations`. Raises: UsageError, if it is not installed."""
    with warnings.catch_warnings():
        # GX 1.24 imports `sre_constants`, which Python 3.11 deprecates, and others of the kind.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            import great_expectations  # noqa: PLC0415 - see the module's docstring
        except ImportError as error:
            raise UsageError("great-expectations is not installed: pip install 'dataproducts[gx]'") from error
    return great_expectations


def run_great_expectations(
    rows: duckdb.DuckDBPyRelation, table: Table, rule: Rule, named: Mapping[str, Callable[..., Any]]
) -> Found:
    """Return what the suite of `rule` finds in `rows`.

    Raises:
        UnknownNameError: no suite, or no expectation, is called so.
        UsageError: GX is not installed, the suite is malformed, or an expectation cannot be judged on these rows.
    """
    gx = import_gx()
    suite = _suite(gx, rule, named, name=f"{table.name}.{rule.name}")
    frame = frame_of(rows)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("rows").add_dataframe_asset(table.name)
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
    result = batch.validate(suite, result_format=_FORMAT)
    failed, whole, by = frame.index[:0], 0, []
    for one in result.results:
        fault = _exception(one, frame)
        if fault:
            raise UsageError(f"{rule.mark}: {one.expectation_config.type}: {fault}")
        index, count = _rejected(one)
        failed = failed.union(index)
        whole += count
        if not one.success:
            named = one.expectation_config.kwargs.get("column")
            by.append(f"{one.expectation_config.type}({named})" if named else one.expectation_config.type)
    kept = _kept.get()
    if kept is not None:
        _hide(result, secret=holds_classified(table.columns) or not {c.name for c in table.columns} >= {*frame.columns})
        kept.append(Validation(table.name, rule.name, suite, result))
    return Found(len(failed) + whole, sample_of(frame, failed, table), tuple(by))


def _suite(gx: Any, rule: Rule, named: Mapping[str, Callable[..., Any]], *, name: str) -> Any:
    """Return the rule's expectations as a suite of GX."""
    given = _expectations(rule.params.get("implementation"))
    if isinstance(given, str):
        made = named[given]
        made = made() if callable(made) else made
        given = [] if isinstance(made, gx.ExpectationSuite) else _expectations(made)
        if isinstance(made, gx.ExpectationSuite):
            given = [expectation.configuration.to_json_dict() for expectation in made.expectations]
    if not isinstance(given, list) or not given:
        raise UsageError(f"{rule.mark}: the suite holds no expectation")
    return gx.ExpectationSuite(name=name, expectations=[_expectation(gx, one, rule) for one in given])


def _expectations(given: Any) -> list[Mapping[str, Any]] | str:
    try:
        return expectations_of(given)
    except ValueError as error:
        raise UsageError(f"the suite cannot be read: {error}") from error


def _expectation(gx: Any, one: Mapping[str, Any], rule: Rule) -> Any:
    """Return one expectation; a rule of a column says which column, and `minValue` stands for `min_value`."""
    from great_expectations.expectations import registry  # noqa: PLC0415 - see the module's docstring

    kind = _snake(str(one.get("type", one.get("expectation_type"))))
    known = registry.list_registered_expectation_implementations()
    if kind not in known:
        raise UnknownNameError("expectation", kind, known)
    expectation = registry.get_expectation_impl(kind)
    fields = expectation.__fields__
    kwargs = {key if key in fields else _snake(key): value for key, value in one.get("kwargs", {}).items()}
    if rule.columns and "column" in fields:
        kwargs.setdefault("column", rule.columns[0])
    unknown = sorted(kwargs.keys() - fields.keys())
    if unknown:
        raise UnknownNameError(f"argument of {kind}", unknown[0], fields.keys() - _OF_EXPECTATIONS)
    more = {key: one[key] for key in _PASSED_ON if one.get(key) is not None}
    try:
        return expectation(**kwargs, **more)
    except (gx.exceptions.GreatExpectationsError, TypeError, ValueError) as error:
        said = " ".join(str(error).split())  # of the declaration: nothing was read yet
        raise UsageError(f"{rule.mark}: {kind} is malformed: {said}") from error


_OF_EXPECTATIONS = {"id", "meta", "notes", "result_format", "description", "catch_exceptions", "rendered_content"}


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower() if not name.islower() else name


def _exception(one: Any, frame: pd.DataFrame) -> str:
    """Return why an expectation could not be judged, without quoting the data; empty if it could."""
    info = one.exception_info or {}
    raised = [info] if "raised_exception" in info else [part for part in info.values() if isinstance(part, dict)]
    told = next((part for part in raised if part.get("raised_exception")), None)
    if told is None:
        return ""
    kwargs = one.expectation_config.kwargs
    named = [kwargs.get(key) for key in ("column", "column_A", "column_B")] + list(kwargs.get("column_list") or ())
    for name in named:
        if name is not None and name not in frame.columns:
            return str(UnknownNameError("column", str(name), map(str, frame.columns)))
    # The cause stands first in a chained traceback; GX wraps it in an error of its own.
    cause = re.search(r"^(?:\w+\.)*(\w+(?:Error|Exception))\b", str(told.get("exception_traceback")), re.MULTILINE)
    return f"{cause[1] if cause else 'an exception'} on these rows"


def _rejected(one: Any) -> tuple[list[Any], int]:
    """Return the positions of rejected rows, and faults beside them; none if the expectation holds (`mostly`)."""
    if one.success:
        return [], 0
    index = one.result.get("unexpected_index_list")
    if index:
        return index, 0
    # Where GX tells no `element_count`, it counts distinct values, which are no rows.
    counted = one.result.get("unexpected_count") if "element_count" in one.result else None
    return [], int(counted or 0) or 1


def _hide(result: Any, *, secret: bool) -> None:
    """Leave out of `result` the long lists and, where `secret`, all values of columns."""
    for one in result.results:
        of_columns = any(key.startswith("column") for key in one.expectation_config.kwargs)
        shown = {"observed_value"} if not (secret and of_columns) else set()
        if "element_count" in one.result:  # GX 1.24 fails to render counts and lists without it
            shown |= {key for key in one.result if _COUNTS.match(key)}
            shown |= set() if secret else {"partial_unexpected_list", "partial_unexpected_counts"}
        for key in one.result.keys() - shown:
            del one.result[key]
