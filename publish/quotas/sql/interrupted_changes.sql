-- Changes that were to set a quota anew after removing it, and the answers about the quota that were read since.
-- Both intents of such a change are recorded at the same moment. A later change that is in force is one that saw what was left.
-- Grain: one row per user, for the newest such change.
with intents as (
    select rowid as place, change_id, row_key, method, recorded_at_utc, payload
    from raw.quota_changes
    where event = 'intent'
),

removals as (
    select row_key, recorded_at_utc
    from intents
    where method = 'DELETE'
),

replacements as (
    select intents.place, intents.change_id, intents.row_key, intents.recorded_at_utc, intents.payload
    from intents
    inner join removals
        on intents.row_key = removals.row_key and intents.recorded_at_utc = removals.recorded_at_utc
    where intents.method = 'PUT'
    qualify row_number() over (partition by intents.row_key order by intents.place desc) = 1
),

in_force as (
    select intents.row_key, max(intents.place) as place
    from intents
    inner join raw.quota_changes as outcomes on intents.change_id = outcomes.change_id
    where outcomes.event = 'outcome' and outcomes.is_in_force
    group by intents.row_key
),

readings as (
    select row_key, load_id from raw.quotas
    union
    select row_key, load_id from raw.quota_reads
),

later_answers as (
    select
        replacements.row_key,
        answers.http_status,
        case when answers.http_status <> 404 then coalesce(answers.payload_normalized, answers.payload) end as answer
    from replacements
    inner join readings on replacements.row_key = readings.row_key
    inner join raw.loads as loads
        on readings.load_id = loads.load_id and replacements.recorded_at_utc <= loads.started_at_utc
    asof join raw.quotas as answers
        on readings.row_key = answers.row_key and readings.load_id >= answers.load_id
)

select
    replacements.row_key,
    replacements.change_id,
    replacements.payload,
    list(later_answers.http_status) filter (where later_answers.row_key is not null),
    list(later_answers.answer) filter (where later_answers.row_key is not null)
from replacements
left join in_force on replacements.row_key = in_force.row_key
left join later_answers on replacements.row_key = later_answers.row_key
where in_force.place is null or in_force.place < replacements.place
group by replacements.row_key, replacements.change_id, replacements.payload
order by replacements.row_key
