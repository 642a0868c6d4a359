-- Ranks pairs by what was known before the split and looks them up after it. Baselines are always published beside.
WITH fitted AS (
    SELECT category_a, category_b, as_of, baskets_together, raw_lift, eb_lift, eb05
    FROM affinity_scores
    WHERE score_window = 'fit'
),

scored AS (
    SELECT 'eb05' AS ranking, eb05 AS score, category_a, category_b, as_of, baskets_together FROM fitted
    UNION ALL
    SELECT 'eb_lift' AS ranking, eb_lift AS score, category_a, category_b, as_of, baskets_together FROM fitted
    UNION ALL
    SELECT 'raw_lift' AS ranking, raw_lift AS score, category_a, category_b, as_of, baskets_together FROM fitted
    UNION ALL
    SELECT 'raw_lift_10' AS ranking, raw_lift AS score, category_a, category_b, as_of, baskets_together
    FROM fitted
    WHERE baskets_together >= 10
),

placed AS (
    SELECT
        ranking,
        row_number() OVER (PARTITION BY ranking ORDER BY score DESC, category_a, category_b) AS place,
        score,
        category_a,
        category_b,
        as_of,
        baskets_together
    FROM scored
)

SELECT
    placed.ranking,
    placed.place,
    placed.category_a,
    placed.category_b,
    placed.as_of AS split,
    placed.score,
    placed.baskets_together AS fit_together,
    later.baskets_together AS holdout_together,
    later.baskets_together / later.expected_together AS holdout_lift,
    coalesce(later.baskets_together / later.expected_together > 1.5, FALSE) AS kept,
    '1.0.0' AS model_version
FROM placed
LEFT JOIN category_pairs AS later
    ON later.pair_window = 'holdout'
    AND placed.category_a = later.category_a
    AND placed.category_b = later.category_b
WHERE placed.place <= 100
