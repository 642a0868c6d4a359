-- Times are UTC in the source; the day is the local one (America/New_York). Amounts are whole cents behind binary
-- noise (below 1e-12), which the decimal type takes away.
SELECT
    basket_id,
    product_id,
    household_id,
    store_id,
    transaction_timestamp AS purchased_at,
    CAST(transaction_timestamp AT TIME ZONE 'UTC' AT TIME ZONE 'America/New_York' AS DATE) AS purchase_date,
    week,
    quantity,
    CAST(sales_value AS DECIMAL(12, 2)) AS sales_value,
    CAST(retail_disc AS DECIMAL(12, 2)) AS retail_disc,
    CAST(coupon_disc AS DECIMAL(12, 2)) AS coupon_disc,
    CAST(coupon_match_disc AS DECIMAL(12, 2)) AS coupon_match_disc
FROM transactions
WHERE
    CAST(transaction_timestamp AT TIME ZONE 'UTC' AT TIME ZONE 'America/New_York' AS DATE) >= $partition_start
    AND CAST(transaction_timestamp AT TIME ZONE 'UTC' AT TIME ZONE 'America/New_York' AS DATE) < $partition_end
