-- The first and last billing period of the marts; null if there is none. One row.
select min(billing_period), max(billing_period)
from marts.dim_billing_periods
