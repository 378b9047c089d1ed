-- The charges with times in UTC, as Parquet marks them. In a fixed order, so that the same charges give the same bytes.
-- noqa: disable=CP02
select
    * replace (
        BillingPeriodStart::timestamptz as BillingPeriodStart,
        BillingPeriodEnd::timestamptz as BillingPeriodEnd,
        ChargePeriodStart::timestamptz as ChargePeriodStart,
        ChargePeriodEnd::timestamptz as ChargePeriodEnd
    )
from charges
order by ChargePeriodStart, x_ChargeId
