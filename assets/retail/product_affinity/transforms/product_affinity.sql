SELECT
    category_a,
    category_b,
    row_number() OVER (ORDER BY eb05 DESC, category_a, category_b) AS affinity_rank,
    window_start,
    as_of,
    baskets_together,
    baskets_a,
    baskets_b,
    baskets_total,
    expected_together,
    raw_lift,
    eb_lift,
    eb05,
    support,
    p_b_given_a,
    p_a_given_b,
    alpha,
    beta,
    '1.0.0' AS model_version
FROM affinity_scores
WHERE score_window = 'all'
