-- Every household that ever bought has a row in each window, with zeros if it did not buy within it.
-- Windows are half-open: [window_start, as_of), where as_of is the day after the last purchase in the data.
WITH edges AS (
    SELECT
        min(purchase_date) AS first_day,
        CAST(max(purchase_date) + INTERVAL 1 DAY AS DATE) AS as_of
    FROM baskets
),

windows AS (
    SELECT
        '26w' AS value_window,
        CAST(as_of - INTERVAL 26 WEEK AS DATE) AS window_start,
        as_of
    FROM edges
    UNION ALL
    SELECT
        'all' AS value_window,
        first_day AS window_start,
        as_of
    FROM edges
),

spent AS (
    SELECT
        baskets.household_id,
        windows.value_window,
        sum(baskets.sales_value) AS total_spending,
        count(*) AS baskets
    FROM baskets
    JOIN windows ON baskets.purchase_date >= windows.window_start AND baskets.purchase_date < windows.as_of
    GROUP BY baskets.household_id, windows.value_window
),

grid AS (
    SELECT
        customer_dim.household_id,
        windows.value_window,
        windows.as_of,
        windows.window_start,
        datediff('day', greatest(customer_dim.first_purchase_date, windows.window_start), windows.as_of) / 7.0
            AS exposed_weeks
    FROM customer_dim
    CROSS JOIN windows
    WHERE customer_dim.first_purchase_date IS NOT NULL
)

SELECT
    grid.household_id,
    grid.value_window,
    grid.as_of,
    grid.window_start,
    CAST(coalesce(spent.total_spending, 0) AS DECIMAL(12, 2)) AS total_spending,
    coalesce(spent.baskets, 0) AS baskets,
    CAST(grid.exposed_weeks AS DOUBLE) AS exposed_weeks,
    CAST(coalesce(spent.baskets, 0) / grid.exposed_weeks * 4.345 AS DOUBLE) AS purchase_frequency,
    CAST(spent.total_spending / nullif(spent.baskets, 0) AS DECIMAL(12, 2)) AS average_basket,
    '1.0.0' AS model_version
FROM grid
LEFT JOIN spent ON grid.household_id = spent.household_id AND grid.value_window = spent.value_window
