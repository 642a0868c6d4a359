-- A group with fewer than ten households in a week joins Unknown: the trend still adds up, and nothing about the
-- small group can be found by subtraction.
WITH grouped AS (
    SELECT
        CAST(date_trunc('week', purchase_date) AS DATE) AS week_start,
        coalesce(age_band, 'Unknown') AS age_band,
        household_id,
        basket_id,
        sales_value
    FROM purchase_fact
),

sized AS (
    SELECT
        week_start,
        age_band,
        CASE WHEN count(DISTINCT household_id) >= 10 THEN age_band ELSE 'Unknown' END AS age_group
    FROM grouped
    GROUP BY week_start, age_band
)

SELECT
    grouped.week_start,
    sized.age_group,
    CAST(sum(grouped.sales_value) AS DECIMAL(12, 2)) AS total_spending,
    count(DISTINCT grouped.basket_id) AS baskets,
    count(DISTINCT grouped.household_id) AS households,
    count(*) AS lines
FROM grouped
JOIN sized ON grouped.week_start = sized.week_start AND grouped.age_band = sized.age_band
GROUP BY grouped.week_start, sized.age_group
