-- A full join: a household that only buys and one that is only described are both households.
WITH buyers AS (
    SELECT
        household_id,
        min(purchase_date) AS first_purchase_date,
        max(purchase_date) AS last_purchase_date
    FROM purchase_fact
    GROUP BY household_id
)

SELECT
    coalesce(buyers.household_id, customers.household_id) AS household_id,
    customers.household_id IS NOT NULL AS has_demographics,
    customers.age_band,
    customers.income_band,
    customers.household_size,
    buyers.first_purchase_date,
    buyers.last_purchase_date
FROM buyers
FULL JOIN customers ON buyers.household_id = customers.household_id
