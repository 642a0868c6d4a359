-- Baskets have one day, so the baskets of the year are those of the two halves of the back-test together: pairs are
-- counted once in each half and added up for the whole. Only categories in three baskets or more have pairs.
WITH edges AS (
    SELECT
        min(purchase_date) AS first_day,
        CAST(max(purchase_date) + INTERVAL 1 DAY AS DATE) AS as_of,
        CAST(max(purchase_date) + INTERVAL 1 DAY - INTERVAL 4 MONTH AS DATE) AS split
    FROM purchase_fact
),

spans AS (
    SELECT 'fit' AS pair_window, FALSE AS late, first_day AS window_start, split AS as_of FROM edges
    UNION ALL
    SELECT 'holdout' AS pair_window, TRUE AS late, split AS window_start, as_of FROM edges
    UNION ALL
    SELECT 'all' AS pair_window, FALSE AS late, first_day AS window_start, as_of FROM edges
    UNION ALL
    SELECT 'all' AS pair_window, TRUE AS late, first_day AS window_start, as_of FROM edges
),

marks AS (
    SELECT DISTINCT
        purchase_fact.basket_id,
        purchase_fact.product_category AS category,
        purchase_fact.purchase_date >= edges.split AS late
    FROM purchase_fact
    CROSS JOIN edges
    WHERE purchase_fact.is_cross_sell_target
),

totals AS (
    SELECT
        spans.pair_window,
        sum(halves.baskets) AS baskets
    FROM (SELECT late, count(DISTINCT basket_id) AS baskets FROM marks GROUP BY late) AS halves
    JOIN spans ON halves.late = spans.late
    GROUP BY spans.pair_window
),

singles AS (
    SELECT
        spans.pair_window,
        halves.category,
        sum(halves.baskets) AS baskets
    FROM (SELECT late, category, count(*) AS baskets FROM marks GROUP BY late, category) AS halves
    JOIN spans ON halves.late = spans.late
    GROUP BY spans.pair_window, halves.category
    HAVING sum(halves.baskets) >= 3
),

halves AS (
    SELECT
        first_marks.late,
        first_marks.category AS category_a,
        second_marks.category AS category_b,
        count(*) AS together
    FROM marks AS first_marks
    JOIN marks AS second_marks
        ON first_marks.basket_id = second_marks.basket_id AND first_marks.category < second_marks.category
    GROUP BY first_marks.late, first_marks.category, second_marks.category
),

together AS (
    SELECT
        spans.pair_window,
        halves.category_a,
        halves.category_b,
        sum(halves.together) AS together
    FROM halves
    JOIN spans ON halves.late = spans.late
    GROUP BY spans.pair_window, halves.category_a, halves.category_b
)

SELECT
    a.pair_window,
    a.category AS category_a,
    b.category AS category_b,
    spans.window_start,
    spans.as_of,
    CAST(coalesce(together.together, 0) AS BIGINT) AS baskets_together,
    CAST(a.baskets AS BIGINT) AS baskets_a,
    CAST(b.baskets AS BIGINT) AS baskets_b,
    CAST(totals.baskets AS BIGINT) AS baskets_total,
    CAST(a.baskets AS DOUBLE) * CAST(b.baskets AS DOUBLE) / CAST(totals.baskets AS DOUBLE) AS expected_together
FROM singles AS a
JOIN singles AS b ON a.pair_window = b.pair_window AND a.category < b.category
JOIN totals ON a.pair_window = totals.pair_window
JOIN (SELECT DISTINCT pair_window, window_start, as_of FROM spans) AS spans ON a.pair_window = spans.pair_window
LEFT JOIN together
    ON a.pair_window = together.pair_window
    AND a.category = together.category_a
    AND b.category = together.category_b
