-- Keeps every line of the tills: joins add attributes and never rows, and a line that is no target for
-- cross-selling is marked with the first reason that applies instead of being dropped.
SELECT
    lines.basket_id,
    lines.product_id,
    lines.household_id,
    lines.store_id,
    lines.purchased_at,
    lines.purchase_date,
    lines.week,
    lines.quantity,
    lines.sales_value,
    lines.retail_disc,
    lines.coupon_disc,
    lines.coupon_match_disc,
    articles.department,
    articles.product_category,
    articles.product_type,
    articles.brand,
    households.age_band,
    articles.product_category IS NOT NULL
        AND articles.department NOT IN ('FUEL', 'COUPON', 'MISCELLANEOUS') AS is_cross_sell_target,
    CASE
        WHEN articles.product_id IS NULL THEN 'unknown_product'
        WHEN articles.department IN ('FUEL', 'COUPON', 'MISCELLANEOUS') THEN 'department_' || lower(articles.department)
        WHEN articles.product_category IS NULL THEN 'no_category'
    END AS exclusion_reason
FROM purchase_lines AS lines
LEFT JOIN products AS articles ON lines.product_id = articles.product_id
LEFT JOIN customers AS households ON lines.household_id = households.household_id
WHERE lines.purchase_date >= $partition_start AND lines.purchase_date < $partition_end
