-- Purpose: what the usage of closed periods cost the platform, as it was frozen when they were closed.
-- Grain: one row per closed period, UTC day, user, project, workspace, sandbox, price and currency
--        (billing_period, usage_date, external_user_id, external_project_id, workspace_id, sandbox_id, unit_price, currency).
{{ config(materialized="view") }}

select
    closed_costs.billing_period,
    closed_costs.usage_date,
    closed_costs.external_user_id,
    closed_costs.external_project_id,
    closed_costs.workspace_id,
    closed_costs.sandbox_id,
    closed_costs.credits,
    closed_costs.usage_seconds,
    closed_costs.unit_price,
    closed_costs.currency
from {{ source("ledger", "closed_costs") }} as closed_costs
