-- A basket has one household, one store and one time (rules of retail/purchases), so the least of each is the one.
SELECT
    basket_id,
    min(household_id) AS household_id,
    min(store_id) AS store_id,
    min(purchased_at) AS purchased_at,
    min(purchase_date) AS purchase_date,
    count(*) AS lines,
    CAST(sum(sales_value) AS DECIMAL(12, 2)) AS sales_value,
    CAST(sum(retail_disc + coupon_disc + coupon_match_disc) AS DECIMAL(12, 2)) AS discounts
FROM purchase_fact
GROUP BY basket_id
