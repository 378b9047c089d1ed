-- Purpose: what our sessions cost, at the moment at which the vendor books it: the variable vendor_spend_booking.
-- Grain: one row per session; with vendor_spend_booking split, one per session and UTC day (session_id, booked_at_utc).
{{ config(materialized="view") }}
{%- set session_days = ref("int_session_days") %}

with

sessions as (

    select * from {{ ref("int_sessions") }}

)

{% if vendor_spend_booking() == "split" %}
, days as (

    select * from {{ session_days }}

)

select
    days.session_id,
    days.external_user_id,
    sessions.sandbox_id,
    days.part_start_at_utc as booked_at_utc,
    days.nano_credits
from days
inner join sessions on days.session_id = sessions.session_id
{% else %}
select
    sessions.session_id,
    sessions.external_user_id,
    sessions.sandbox_id,
    sessions.{{ "started_at_utc" if vendor_spend_booking() == "start" else "end_at_utc" }} as booked_at_utc,
    sessions.cost_nano_credits as nano_credits
from sessions
{{ "where not sessions.is_provisional" if vendor_spend_booking() == "end" }}
{% endif %}
