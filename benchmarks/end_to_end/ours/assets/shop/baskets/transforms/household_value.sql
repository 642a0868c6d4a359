SELECT
    lines.household_id,
    (SELECT max(latest.purchase_date) FROM purchase_fact AS latest) AS as_of,
    min(lines.purchase_date) AS first_purchase,
    max(lines.purchase_date) AS last_purchase,
    count(DISTINCT lines.basket_id) AS baskets,
    round(sum(lines.sales_value), 2) AS total_spending,
    round(sum(lines.sales_value) / count(DISTINCT lines.basket_id), 2) AS average_basket,
    coalesce(max(people.age), 'unknown') AS age_band
FROM purchase_fact AS lines
LEFT JOIN demographics AS people ON lines.household_id = people.household_id
GROUP BY lines.household_id
