SELECT
    CAST(date_trunc('week', purchase_date) AS DATE) AS week_start,
    store_id,
    CAST(sum(sales_value) AS DECIMAL(12, 2)) AS total_spending,
    count(DISTINCT basket_id) AS baskets,
    count(DISTINCT household_id) AS households,
    count(*) AS lines
FROM purchase_fact
GROUP BY 1, 2
