-- Every pair of categories that ever shared a basket: a join of the baskets with themselves.
WITH marks AS (
    SELECT DISTINCT
        basket_id,
        product_category AS category
    FROM purchase_fact
    WHERE department NOT IN ('FUEL', 'COUPON', 'MISCELLANEOUS')
),

sizes AS (
    SELECT
        category,
        count(*) AS baskets
    FROM marks
    GROUP BY category
),

together AS (
    SELECT
        a.category AS category_a,
        b.category AS category_b,
        count(*) AS baskets_together
    FROM marks AS a
    JOIN marks AS b ON a.basket_id = b.basket_id AND a.category < b.category
    GROUP BY a.category, b.category
)

SELECT
    together.category_a,
    together.category_b,
    together.baskets_together,
    a.baskets AS baskets_a,
    b.baskets AS baskets_b,
    CAST(together.baskets_together AS DOUBLE) * (SELECT count(DISTINCT marks.basket_id) FROM marks)
        / (CAST(a.baskets AS DOUBLE) * CAST(b.baskets AS DOUBLE)) AS lift,
    (SELECT max(latest.purchase_date) FROM purchase_fact AS latest) AS as_of
FROM together
JOIN sizes AS a ON together.category_a = a.category
JOIN sizes AS b ON together.category_b = b.category
