"""Pandera models for rules that compare columns with each other; they must not repeat what contracts say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pandera.pandas as pa

_TOLERANCE = 1e-6
_HALF_A_CENT = 0.0051


class CustomerValue(pa.DataFrameModel):
    """Metrics of a household agree with the figures that they are made of."""

    @pa.dataframe_check
    @classmethod
    def frequency_follows(cls, frame: pd.DataFrame) -> pd.Series[bool]:
        """Frequency is baskets a month of exposure."""
        expected = frame["baskets"] / frame["exposed_weeks"] * 4.345
        return (frame["purchase_frequency"] - expected).abs() <= _TOLERANCE * (1 + expected)

    @pa.dataframe_check
    @classmethod
    def average_follows(cls, frame: pd.DataFrame) -> pd.Series[bool]:
        """The average basket is spending by baskets, to the cent; without baskets there is none."""
        average = frame["average_basket"].astype(float)
        expected = frame["total_spending"].astype(float) / frame["baskets"].where(frame["baskets"] > 0)
        return average.isna() & expected.isna() | ((average - expected).abs() <= _HALF_A_CENT)


class AffinityScores(pa.DataFrameModel):
    """Shrunk lifts hold together."""

    @pa.dataframe_check
    @classmethod
    def finite(cls, frame: pd.DataFrame) -> pd.Series[bool]:
        """Every score is a finite number."""
        scores = frame[["raw_lift", "eb_lift", "eb05", "alpha", "beta"]]
        return pd.Series(np.isfinite(scores.to_numpy(float)).all(axis=1), index=frame.index)

    @pa.dataframe_check
    @classmethod
    def bound_below_mean(cls, frame: pd.DataFrame) -> pd.Series[bool]:
        """The lower bound is below the posterior mean."""
        return frame["eb05"] < frame["eb_lift"]

    @pa.dataframe_check
    @classmethod
    def mean_between_prior_and_data(cls, frame: pd.DataFrame) -> pd.Series[bool]:
        """Shrinkage moves a lift towards the prior's mean and never past it."""
        prior = frame["alpha"] / frame["beta"]
        low, high = np.minimum(prior, frame["raw_lift"]), np.maximum(prior, frame["raw_lift"])
        return (frame["eb_lift"] >= low - _TOLERANCE) & (frame["eb_lift"] <= high + _TOLERANCE)
