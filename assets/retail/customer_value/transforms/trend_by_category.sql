-- Lines without a category are kept under a name of their own, so that the trend adds up to the total.
SELECT
    CAST(date_trunc('week', purchase_date) AS DATE) AS week_start,
    coalesce(product_category, '(none)') AS product_category,
    CAST(sum(sales_value) AS DECIMAL(12, 2)) AS total_spending,
    count(DISTINCT basket_id) AS baskets,
    count(DISTINCT household_id) AS households,
    count(*) AS lines
FROM purchase_fact
GROUP BY 1, 2
