-- Purpose: what stands at Stripe is what was closed. A warning: somebody may have had a reason, which only a look at Stripe can tell.
-- Grain: one row per closed invoice that differs, is void, or is gone.
{{ config(severity="warn") }}

select *
from {{ ref("rpt_stripe_reconciliation") }}
where status in ('differs', 'void', 'missing')
