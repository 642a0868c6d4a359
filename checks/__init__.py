"""This project's rules: policies that bind every domain, and named rules for contracts; it must not know one product.

A policy judges how a product is declared; a violation keeps its domain from loading, and no other. A contract names
an object of `CUSTOM` in a rule of `type: custom`. pandera takes seconds to import, so its models are loaded on use.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from checks.suites import households_as_known
from dataproducts.objective import MEANINGS, Category, IndicatorKind
from dataproducts.policy import (
    Policy,
    classification_required,
    minimum_objectives,
    minimum_rules,
    minimum_slas,
    naming,
    owner_required,
)
from dataproducts.product import Dimension, Tier
from dataproducts.sql import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import duckdb
    import pandas as pd

_FRESHNESS = (IndicatorKind.FRESHNESS, IndicatorKind.TIME_OF_AVAILABILITY)
_QUALITY = {kind for kind, meaning in MEANINGS.items() if meaning.category is Category.QUALITY} - {*_FRESHNESS}
_REFRESH = (IndicatorKind.REFRESH_SUCCESS,)

POLICIES: tuple[Policy, ...] = (
    naming(),
    owner_required(roles=("owner", "technicalOwner", "steward")),
    classification_required(everywhere=True),
    minimum_rules(
        {Tier.GOLD: 8, Tier.SILVER: 6, Tier.BRONZE: 4},
        dimensions={
            Tier.GOLD: (Dimension.COMPLETENESS, Dimension.UNIQUENESS, Dimension.VALIDITY),
            Tier.SILVER: (Dimension.COMPLETENESS, Dimension.UNIQUENESS),
        },
    ),
    minimum_slas({Tier.GOLD: ("frequency",), Tier.SILVER: ("frequency",), Tier.BRONZE: ("frequency",)}),
    minimum_objectives(
        {
            Tier.GOLD: {"freshness": _FRESHNESS, "quality": _QUALITY, "refreshes": _REFRESH},
            Tier.SILVER: {"quality": _QUALITY, "refreshes": _REFRESH},
            Tier.BRONZE: {"refreshes": _REFRESH},
        }
    ),
)
"""What every product of every domain has to meet."""


@dataclass(frozen=True, slots=True)
class LazyModel:
    """A pandera model of `checks.models` by name, imported when it first validates."""

    name: str

    def validate(self, frame: pd.DataFrame, *, lazy: bool = True) -> pd.DataFrame:
        """Validate `frame` by the model. Raises: pandera.errors.SchemaErrors."""
        from checks import models  # noqa: PLC0415 - two seconds of imports that most processes never need

        validated: pd.DataFrame = getattr(models, self.name).validate(frame, lazy=lazy)
        return validated

    __call__ = validate


def no_blank_text(rows: duckdb.DuckDBPyRelation) -> int:
    """Return the number of rows in which a text column holds blanks alone, where null should stand."""
    texts = [name for name, kind in zip(rows.columns, rows.types, strict=True) if str(kind) == "VARCHAR"]
    if not texts:
        return 0
    blank = " OR ".join(f"trim({quote(name)}) = ''" for name in texts)
    ((count,),) = rows.filter(blank).aggregate("count(*)").fetchall()
    return int(count)


CUSTOM: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "no_blank_text": no_blank_text,
        "CustomerValue": LazyModel("CustomerValue"),
        "AffinityScores": LazyModel("AffinityScores"),
        "households_as_known": households_as_known,
    }
)
"""Named rules that contracts may use: functions for `engine: python`, models for `engine: pandera`, suites for
`engine: greatExpectations`."""
