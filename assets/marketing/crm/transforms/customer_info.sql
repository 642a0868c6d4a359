-- Renames the columns of the export; the income is text such as "$84,835.00 ".
SELECT
    id AS customer_id,
    YearBirth AS birth_year,
    Education AS education,
    MaritalStatus AS marital_status,
    CAST(regexp_replace(Income, '[$, ]', '', 'g') AS DECIMAL(12, 2)) AS income,
    Kidhome AS children_at_home,
    Teenhome AS teenagers_at_home,
    DtCustomer AS enrolled_on,
    Country AS country
FROM crm
