-- Lines of known articles, on the day of the store, in whole cents.
SELECT
    lines.basket_id,
    lines.product_id,
    lines.household_id,
    lines.store_id,
    lines.transaction_timestamp AS purchased_at,
    CAST(lines.transaction_timestamp - INTERVAL '5' HOUR AS DATE) AS purchase_date,
    lines.quantity,
    round(lines.sales_value, 2) AS sales_value,
    round(lines.retail_disc + lines.coupon_disc + lines.coupon_match_disc, 2) AS discount,
    articles.department,
    articles.product_category,
    articles.brand
FROM transactions AS lines
JOIN products AS articles ON lines.product_id = articles.product_id
WHERE articles.product_category IS NOT NULL
