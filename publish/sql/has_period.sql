-- Whether the marts have a billing period. One row.
-- $1: billing period.
select count(*) > 0
from marts.dim_billing_periods
where billing_period = $1
