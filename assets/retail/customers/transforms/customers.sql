-- Renames the columns of the source so that bands say that they are bands.
SELECT
    household_id,
    age AS age_band,
    income AS income_band,
    home_ownership,
    marital_status,
    household_size,
    household_comp AS household_composition,
    kids_count
FROM demographics
