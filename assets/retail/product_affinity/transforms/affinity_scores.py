"""Shrunk lift of category pairs with its lower bound (Gamma-Poisson); it must not count baskets itself."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import gammaincinv, gammaln

_COUNTS = ("baskets_together", "baskets_a", "baskets_b", "baskets_total", "expected_together")
_SPAN = ("category_a", "category_b", "window_start", "as_of")

LINEAGE = {
    "score_window": ["category_pairs.pair_window"],
    "category_a": ["category_pairs.category_a"],
    "category_b": ["category_pairs.category_b"],
    "window_start": ["category_pairs.window_start"],
    "as_of": ["category_pairs.as_of"],
    "baskets_together": ["category_pairs.baskets_together"],
    "baskets_a": ["category_pairs.baskets_a"],
    "baskets_b": ["category_pairs.baskets_b"],
    "baskets_total": ["category_pairs.baskets_total"],
    "expected_together": ["category_pairs.expected_together"],
    "raw_lift": ["category_pairs.baskets_together", "category_pairs.expected_together"],
    "eb_lift": ["category_pairs.baskets_together", "category_pairs.expected_together"],
    "eb05": ["category_pairs.baskets_together", "category_pairs.expected_together"],
    "support": ["category_pairs.baskets_together", "category_pairs.baskets_total"],
    "p_b_given_a": ["category_pairs.baskets_together", "category_pairs.baskets_a"],
    "p_a_given_b": ["category_pairs.baskets_together", "category_pairs.baskets_b"],
    "alpha": ["category_pairs.baskets_together", "category_pairs.expected_together"],
    "beta": ["category_pairs.baskets_together", "category_pairs.expected_together"],
}


def affinity_scores(category_pairs: pd.DataFrame) -> pd.DataFrame:
    """Score the pairs of the windows `all` and `fit`, each with a prior of its own.

    The lift of a pair is taken as gamma distributed over pairs; given its lift, the baskets that hold both are
    Poisson with mean lift * expected. So the posterior is gamma with shape alpha + O and rate beta + E.
    """
    scored = [_scored(pairs, window) for window, pairs in category_pairs.groupby("pair_window") if window != "holdout"]
    return pd.concat(scored, ignore_index=True)


def _scored(pairs: pd.DataFrame, window: object) -> pd.DataFrame:
    together = pairs["baskets_together"].to_numpy(float)
    expected = pairs["expected_together"].to_numpy(float)
    alpha, beta = _prior(together, expected)
    columns = {
        "score_window": window,
        **{name: pairs[name] for name in (*_SPAN, *_COUNTS)},
        "raw_lift": together / expected,
        "eb_lift": (alpha + together) / (beta + expected),
        "eb05": gammaincinv(alpha + together, 0.05) / (beta + expected),
        "support": together / pairs["baskets_total"],
        "p_b_given_a": together / pairs["baskets_a"],
        "p_a_given_b": together / pairs["baskets_b"],
        "alpha": alpha,
        "beta": beta,
    }
    return pd.DataFrame(columns)


def _prior(together: np.ndarray, expected: np.ndarray) -> tuple[float, float]:
    """Fit shape and rate of the prior by maximum likelihood; given the prior, counts are negative binomial.

    Raises: ArithmeticError, if the likelihood has no maximum that the search can find.
    """

    def loss(logs: np.ndarray) -> float:
        alpha, beta = np.exp(logs)
        likelihood = (
            gammaln(alpha + together)
            - gammaln(alpha)
            + alpha * (np.log(beta) - np.log(beta + expected))
            - together * np.log(beta + expected)
        )
        return -float(likelihood.sum())

    found = minimize(loss, np.zeros(2), method="L-BFGS-B", bounds=[(-10, 10), (-10, 10)])
    if not found.success:
        raise ArithmeticError(f"the prior of the lifts did not converge: {found.message}")
    alpha, beta = np.exp(found.x)
    return float(alpha), float(beta)
