-- Purpose: the bookings on the platform's own account at the vendor, with their sign, their kind and the user whose sandbox they name.
-- Grain: one row per transaction (transaction_id).
-- Some clients show spends as negative amounts, others as positive ones. If any spend is negative, amounts have their sign.

with

transactions as (

    select * from {{ ref("stg_miosa__credit_transactions") }}
    where rejection_reason is null

),

owners as (

    select * from {{ ref("int_sandbox_owners") }}

),

kinds as (

    select
        transactions.*,
        case
            when lower(transactions.transaction_type) in ('spend', 'debit') then 'spent'
            when lower(transactions.transaction_type) in ('earn', 'credit', 'promo') then 'earned'
            when lower(transactions.transaction_type) in ('expire', 'expired', 'expiry', 'expiration') then 'expired'
            else 'other'
        end as kind
    from transactions

),

convention as (

    select coalesce(bool_or(kinds.credits < 0), false) as is_signed
    from kinds
    where kinds.kind = 'spent'

)

select
    kinds.transaction_id,
    kinds.booked_at_utc,
    kinds.booked_at_utc::date as booked_date,
    kinds.transaction_type,
    kinds.kind,
    case
        when kinds.kind = 'expired' then -abs(kinds.credits)
        when kinds.kind = 'spent' and not convention.is_signed then -kinds.credits
        else kinds.credits
    end::decimal(38, 9) as credits,
    -- Calls of a model are on no sandbox, and no session stands behind them.
    kinds.kind = 'spent' and kinds.provider is null and kinds.model is null as is_usage,
    kinds.sandbox_id,
    coalesce(owners.external_user_id, '{{ unattributed() }}') as external_user_id,
    owners.external_user_id is not null as is_attributed,
    kinds.description,
    kinds.provider,
    kinds.model
from kinds
cross join convention
left join owners
    on
        kinds.sandbox_id = owners.sandbox_id
        and kinds.booked_at_utc >= owners.valid_from_utc
        and (owners.valid_to_utc is null or kinds.booked_at_utc < owners.valid_to_utc)
