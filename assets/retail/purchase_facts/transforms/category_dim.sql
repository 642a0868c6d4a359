-- One row a category: its main department is the one with the most articles, the first by name of equals.
WITH counted AS (
    SELECT
        product_category,
        department,
        count(*) AS products
    FROM products
    WHERE product_category IS NOT NULL
    GROUP BY product_category, department
),

ranked AS (
    SELECT
        product_category,
        department,
        products,
        row_number() OVER (PARTITION BY product_category ORDER BY products DESC, department) AS place
    FROM counted
)

SELECT
    product_category,
    max(department) FILTER (WHERE place = 1) AS department,
    count(*) AS departments,
    CAST(sum(products) AS BIGINT) AS products,
    bool_or(department NOT IN ('FUEL', 'COUPON', 'MISCELLANEOUS')) AS is_cross_sell_target
FROM ranked
GROUP BY product_category
