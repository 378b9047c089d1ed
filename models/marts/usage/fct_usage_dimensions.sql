-- Purpose: what the vendor says was used of each dimension that it meters.
-- Grain: one row per user, project, workspace, billing period and dimension (external_user_id, external_project_id,
--        workspace_id, billing_period, dimension).
{{ config(materialized="view") }}

select
    usage_dimensions.external_user_id,
    usage_dimensions.external_project_id,
    usage_dimensions.workspace_id,
    usage_dimensions.billing_period,
    {{ period_start_date("usage_dimensions.billing_period") }} as period_start_date,
    usage_dimensions.dimension,
    usage_dimensions.quantity,
    usage_dimensions.unit,
    usage_dimensions.vendor_credits,
    usage_dimensions.source
from {{ ref("int_usage_dimensions") }} as usage_dimensions
