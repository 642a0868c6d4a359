-- The export does not say its own day. No customer can have bought before enrolling, so it is at least the greatest
-- enrolment plus recency, 2014-10-04, which is taken for it.
SELECT
    id AS customer_id,
    CAST(DATE '2014-10-04' - CAST(Recency AS INTEGER) AS DATE) AS purchase_date,
    Recency AS recency,
    MntWines AS mntwines,
    MntFruits AS mntfruits,
    MntMeatProducts AS mntmeatproducts,
    MntFishProducts AS mntfishproducts,
    MntSweetProducts AS mntsweetproducts,
    MntGoldProducts AS mntgoldproducts,
    NumDealsPurchases AS numdealspurchases,
    NumWebPurchases AS numwebpurchases,
    NumCatalogPurchases AS numcatalogpurchases,
    NumStorePurchases AS numstorepurchases,
    NumWebVisitsMonth AS numwebvisitsmonth
FROM crm
