-- Parses each row of the examined loads once: key, times, owner.
-- Grain: `parsed` has one row per load and place.
-- The DECIMAL field that no row has keeps number texts as they are (without one DuckDB sends them through a double).
-- The first character of a JSON field shows its type.
create or replace temp table parsed as
with documents as (
    select
        staged.load_number,
        staged.place,
        staged.given_key,
        examined.started_at as asked_at,
        coalesce(staged.normalized, staged.payload) as document
    from staged
    inner join examined using (load_number)
),

fields as (
    select
        load_number,
        place,
        given_key,
        asked_at,
        document,
        case when given_key is null then try(from_json(
            document,
            '{"id":"JSON","started_at":"VARCHAR","ended_at":"VARCHAR","duration_sec":"VARCHAR","external_user_id":"JSON",'
            || '"_":"DECIMAL(1,0)"}'
        )) end as said
    from documents
),

texts as (
    select
        fields.load_number,
        fields.place,
        fields.asked_at,
        fields.given_key,
        case when said.ended_at is null
            then coalesce(fields.said is not null and ltrim(fields.document, e' \t\r\n')[1] = '{', false)
            else false end as is_running,
        case when starts_with(said.id, '"') and said.id <> '""' then said.id ->> '$' end as id,
        -- Spelt as the warehouse reads them too: lower-case letters and a decimal comma are fine (rule 8).
        case when regexp_matches(said.started_at, '^[0-9]{4}-')
            then try_cast(replace(upper(said.started_at), ',', '.') as timestamptz) end as started,
        case when regexp_matches(said.ended_at, '^[0-9]{4}-')
            then try_cast(replace(upper(said.ended_at), ',', '.') as timestamptz) end as ended,
        -- Any spelling of a whole number: 60, "60", 60.0, 6e1. Asked for only where there is no end.
        case when said.ended_at is null then
            case when try_cast(said.duration_sec as decimal(38, 9)) between 0 and 99999999999
                then try_cast(try_cast(said.duration_sec as decimal(38, 9)) as bigint) end
        end as seconds,
        case when starts_with(said.external_user_id, '"') then said.external_user_id ->> '$' end as external_user_id
    from fields
),

times as (
    select
        * exclude (started, ended),
        case when started >= timestamptz '0001-01-01 00:00:00+00' and started < timestamptz '9001-01-01 00:00:00+00'
            then started::timestamp end as started,
        case when ended >= timestamptz '0001-01-01 00:00:00+00' and ended < timestamptz '9001-01-01 00:00:00+00'
            then ended::timestamp end as ended
    from texts
)

select
    load_number,
    place,
    coalesce(given_key, id) as row_key,
    coalesce(given_key, id) is not null as has_id,
    ((md5_number('id:' || coalesce(given_key, id)) >> 64)::hugeint - 9223372036854775808)::bigint as row_hash,
    is_running,
    started,
    case
        when not is_running then greatest(started, ended)
        -- As far as a time can be shown: a session may claim three thousand years.
        when seconds is not null then least(started + to_seconds(seconds), timestamp '9001-01-01 00:00:00')
        else greatest(started, asked_at)
    end as ended,
    external_user_id
from times
