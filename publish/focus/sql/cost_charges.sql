-- What the platform paid for a period, as a table for all formats. $1: the billing period.
-- noqa: disable=CP02
create or replace temp table charges as
select * exclude (x_BillingPeriod, x_ExternalUserId)
from marts.rpt_focus_cost
where x_BillingPeriod = $1
