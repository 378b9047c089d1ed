-- Whether a billing period is closed. One row; none if there is no such period.
-- $1: billing period.
select is_closed
from marts.dim_billing_periods
where billing_period = $1
