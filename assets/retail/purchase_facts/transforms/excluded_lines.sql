SELECT
    exclusion_reason,
    count(*) AS lines,
    CAST(sum(sales_value) AS DECIMAL(12, 2)) AS sales_value,
    CAST(sum(sales_value) AS DOUBLE) / (SELECT CAST(sum(sales_value) AS DOUBLE) FROM purchase_fact) AS share_of_sales
FROM purchase_fact
WHERE NOT is_cross_sell_target
GROUP BY exclusion_reason
