"""The engines of rules of `type: custom`, by the names that contracts give them; it must not run one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

from dataproducts.errors import suggest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dataproducts.product import Rule

ENGINES = ("greatExpectations", "pandera", "python")
"""Engines whose rules are judged here."""

FOREIGN = (
    "anomalo",
    "bigeye",
    "collibra",
    "databand",
    "datadog",
    "datafold",
    "dbt",
    "deequ",
    "dqx",
    "elementary",
    "informatica",
    "lightup",
    "metaplane",
    "monteCarlo",
    "soda",
    "spark",
    "talend",
)
"""Engines of others that contracts name: their rules are declared-only here."""


def engine_of(rule: Rule) -> str:
    """Return the engine of a custom rule in our spelling, or as it was written if it is none of ours."""
    return known_engine(str(rule.params.get("engine", "")))


def known_engine(written: str) -> str:
    """Return the name in `ENGINES` or `FOREIGN` that `written` spells, whatever its case and its separators.

    The standard itself writes both `greatExpectations` and `great-expectations`.
    """
    return _SPELT.get(_bare(written), written)


def object_of(rule: Rule) -> str:
    """Return the name of the object of the project's that `rule` names; empty if it needs none, or is malformed."""
    given, engine = rule.params.get("implementation"), engine_of(rule)
    if engine == "greatExpectations":
        try:
            given = expectations_of(given)
        except ValueError:
            return ""
    return given.strip() if isinstance(given, str) and engine in ENGINES else ""


def is_foreign(rule: Rule) -> bool:
    """Return whether the rule is of an engine that is known and not run here."""
    return engine_of(rule) in FOREIGN


def declared_only(rule: Rule) -> str:
    """Return what is said of a rule of a foreign engine."""
    return f"declared only: engine {engine_of(rule)} is not run here"


def fault_of(params: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """Return what is wrong with a custom rule as it is declared: the key, what, and the fix; None if nothing is.

    Looks at the engine's name and the form of `implementation`. Names of objects and of expectations are resolved when
    the rule is judged.
    """
    written = params.get("engine")
    if not isinstance(written, str) or not written.strip():
        return "engine", "the rule does not say which engine judges it", f"Write one of {', '.join(ENGINES)}."
    engine = known_engine(written)
    if engine not in (*ENGINES, *FOREIGN):
        return "engine", f"nothing is known of the engine {written!r}", suggest(written, ENGINES).strip()
    what = "" if engine in FOREIGN else _fault_of_implementation(engine, params.get("implementation"))
    return ("implementation", what, _FIXES[engine]) if what else None


def _fault_of_implementation(engine: str, given: Any) -> str:
    if given is None or given in ("", [], {}):
        return "the rule does not say what it checks"
    if engine == "greatExpectations":
        try:
            expectations_of(given)
        except ValueError as error:
            return f"the suite cannot be read: {error}"
    elif not isinstance(given, str):
        return f"{engine} rules are named by a text, not a {type(given).__name__}"
    return ""


def expectations_of(given: Any) -> list[Mapping[str, Any]] | str:
    """Return the expectations that an `implementation` lists as mappings, or the name that it consists of.

    `given` may be a name, a mapping (one expectation, or a suite with `expectations`), a list, or the YAML or JSON
    text of any of these, as the standard shows it. Raises: ValueError, for anything else.
    """
    if isinstance(given, str):
        try:
            given = yaml.safe_load(given)
        except yaml.YAMLError as error:
            raise ValueError("it is no YAML") from error
        if isinstance(given, str):
            return given.strip()
    if isinstance(given, dict) and "expectations" in given:
        given = given["expectations"]
    listed = given if isinstance(given, list) else [given]
    if not listed:
        raise ValueError("it lists no expectation")
    for one in listed:
        if not isinstance(one, dict) or not isinstance(one.get("type", one.get("expectation_type")), str):
            raise ValueError("an expectation has no `type`")  # noqa: TRY004 - what is wrong is a declaration
        if not isinstance(one.get("kwargs", {}), dict):
            raise ValueError("the `kwargs` of an expectation are no mapping")  # noqa: TRY004 - as above
    return listed


def _bare(name: str) -> str:
    return re.sub(r"[\s_.-]", "", name).lower()


_SPELT = {_bare(name): name for name in (*ENGINES, *FOREIGN)} | {"gx": "greatExpectations", "sodacl": "soda"}
_FIXES = {
    "greatExpectations": "Write `{type: expect_…, kwargs: {…}}`, a list of these, or the name of a suite in checks/.",
    "pandera": "Write the name of a model in `checks.CUSTOM`.",
    "python": "Write the name of a function in `checks.CUSTOM`.",
}
