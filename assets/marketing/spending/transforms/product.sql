-- One row a customer and kind of product. Goods marked gold are counted in the other kinds too and are left out.
SELECT customer_id, 'Wines' AS product_category, mntwines AS amount FROM purchase
UNION ALL
SELECT customer_id, 'Fruits' AS product_category, mntfruits AS amount FROM purchase
UNION ALL
SELECT customer_id, 'Meat' AS product_category, mntmeatproducts AS amount FROM purchase
UNION ALL
SELECT customer_id, 'Fish' AS product_category, mntfishproducts AS amount FROM purchase
UNION ALL
SELECT customer_id, 'Sweets' AS product_category, mntsweetproducts AS amount FROM purchase
