"""The SQL of landing, statement by statement, in the order in which `warehouse` runs them.

Table names are constants of this module; every value is a bound parameter. The raw tables are created by `schema.sql`,
the temporary ones by the statement that fills them first.
"""

from __future__ import annotations

ID_CHECK = """
select
    (select any_value(value) from raw.settings where name = 'id_hash_check') as stored,
    exists (select 1 from raw.loads) as has_loads
"""

INSERT_ID_CHECK = """
insert into raw.settings
select 'id_hash_check', $1
where not exists (select 1 from raw.settings where name = 'id_hash_check')
"""

STAGING = """
create or replace temp table staged (
    load_number integer, place bigint, given_key varchar, http_status integer, payload varchar, normalized varchar
);
create or replace temp table examined (
    load_number integer, started_at timestamp, window_end timestamp, load_id bigint
);
create or replace temp table listed (row_hash bigint, row_key varchar, has_id boolean);
create or replace temp table crossing (load_id bigint);
create or replace temp table unsettled (load_id bigint);
create or replace temp table covered_windows (starts timestamp, ends timestamp);
"""

# From a subquery, because functions of parameters alone are folded into a constant, one boxed value a row: that took
# more than twice as long.
STAGE = """
insert into staged
select $1, unnest(range(first, last)), null, null, unnest(string_split(text, chr(30))), null
from (select $2::bigint as first, $3::bigint as last, $4::varchar as text)
"""

STAGE_NORMALIZED = """
insert into staged
select $1, unnest(range(first, last)), null, null, unnest(string_split(text, chr(30))), unnest($5::varchar[])
from (select $2::bigint as first, $3::bigint as last, $4::varchar as text)
"""

STAGE_ANSWERS = """
insert into staged
select
    $1, unnest($2::bigint[]), unnest($3::varchar[]), unnest($4::integer[]), unnest($5::varchar[]), unnest($6::varchar[])
"""

EXAMINE = """
insert into examined
select unnest($1::integer[]), unnest($2::timestamp[]), unnest($3::timestamp[]), null
"""

# The loads to land, in order, are numbered on from the last; those that are not to be landed have no number.
NUMBER_LOADS = "update examined set load_id = $1 + nullif(list_position($2::integer[], load_number), 0)"

INSERT_LOADS = """
insert into raw.loads
select
    unnest($1::bigint[]), $2, unnest($3::varchar[]), unnest($4::timestamp[]), unnest($5::timestamp[]),
    unnest($6::timestamp[]), unnest($7::timestamp[]), unnest($8::bigint[]), unnest($9::bigint[]),
    unnest($10::bigint[]), unnest($11::bigint[]), unnest($12::bigint[]), $13
"""

# Rows of one shape have the same keys in the same order; only a shape with a key twice needs a look at its rows.
# Grouped by their JSON text: comparing lists of texts row by row took three times as long.
SHAPES = """
create or replace temp table key_lists as
select any_value(keys) as keys
from (
    select try(json_keys(staged.payload)) as keys
    from staged
    inner join examined using (load_number)
    where staged.normalized is null and staged.payload is not null and staged.http_status is distinct from 404
)
group by to_json(keys);

create or replace temp table shapes as
select keys
from key_lists
where keys is null or list_unique(keys) <> len(keys);

select 1 from shapes limit 1
"""

MISSHAPEN = """
select staged.load_number, staged.place, staged.payload
from staged
inner join examined using (load_number)
where
    staged.normalized is null and staged.payload is not null and staged.http_status is distinct from 404
    and exists (select 1 from shapes where shapes.keys is not distinct from try(json_keys(staged.payload)))
"""

# One parse a row. The DECIMAL field that no row has keeps number texts as they are (without one DuckDB sends them
# through a double); a JSON field's first character tells its type.
PARSE = """
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
        load_number,
        place,
        asked_at,
        given_key,
        case when said.ended_at is null
            then coalesce(said is not null and ltrim(document, e' \\t\\r\\n')[1] = '{', false)
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
"""

UNIDENTIFIED = """
select parsed.load_number, parsed.place, staged.payload
from parsed
inner join staged using (load_number, place)
where not parsed.has_id
order by parsed.load_number, parsed.place
"""

SET_KEYS = """
update parsed
set
    row_key = keyed.row_key,
    row_hash = ((md5_number('row:' || keyed.row_key) >> 64)::hugeint - 9223372036854775808)::bigint
from (
    select unnest($1::integer[]) as load_number, unnest($2::bigint[]) as place, unnest($3::varchar[]) as row_key
) as keyed
where parsed.load_number = keyed.load_number and parsed.place = keyed.place
"""

COUNT = """
with keys as (
    select load_number, row_hash, row_key, has_id, count(*) as times
    from parsed
    group by all
)
select
    load_number,
    sum(times)::bigint,
    count(*) filter (where has_id),
    count(*) filter (where not has_id),
    count(*) filter (where times > 1)
from keys
group by load_number
"""

# The rows of keys that a load lists with more than one text.
REPEATED = """
with repeated as (
    select load_number, row_hash, row_key, has_id
    from parsed
    group by all
    having count(*) > 1
)
select
    repeated.load_number, repeated.row_hash, repeated.row_key, repeated.has_id,
    list(distinct staged.payload) as contents
from repeated
inner join parsed using (load_number, row_hash, row_key, has_id)
inner join staged using (load_number, place)
group by repeated.load_number, repeated.row_hash, repeated.row_key, repeated.has_id
having count(distinct staged.payload) > 1
"""

# What the resource's table holds, in one form for all resources. DuckDB reads only the columns that are asked for.
HISTORY = {
    "usage_sessions": """
        create or replace temp view history as
        select
            rowid as row_id, load_id, row_number, row_key, has_id, row_hash, is_void, is_running,
            null::integer as http_status, started_at_utc, ended_at_utc, payload
        from raw.usage_sessions
    """,
    **{
        resource: f"""
            create or replace temp view history as
            select
                rowid as row_id, load_id, row_number, row_key, has_id, row_hash, false as is_void, false as is_running,
                {status} as http_status, null::timestamp as started_at_utc, null::timestamp as ended_at_utc, payload
            from raw.{resource}
        """  # noqa: S608 - both are the constants below
        for resource, status in {
            "sandboxes": "null::integer",
            "quotas": "http_status",
            "usage_rollups": "null::integer",
            "usage_summaries": "null::integer",
        }.items()
    },
}

# The rows to land, in the order in which their loads are landed, which `sequence` numbers; each key's first one; and
# of the keys that are listed more than once, those whose rows differ.
FIRSTS = """
create or replace temp view sequenced as
select
    parsed.*,
    examined.load_id,
    examined.window_end,
    (examined.load_id - (select min(load_id) from examined)) * 1099511627776 + parsed.place as sequence
from parsed
inner join examined using (load_number)
where examined.load_id is not null;

create or replace temp table firsts as
select row_hash, row_key, has_id, min(sequence) as sequence, count(*) as times
from sequenced
group by all;

create or replace temp table contested as
select firsts.sequence
from firsts
inner join sequenced using (row_hash, row_key, has_id)
inner join staged on sequenced.load_number = staged.load_number and sequenced.place = staged.place
where firsts.times > 1
group by firsts.sequence
having count(distinct staged.payload) > 1;

create or replace temp table unchanged (sequence bigint)
"""

# The current version of every key at hand. The hash finds candidates by one narrow column; the key itself decides.
FOUND = """
create or replace temp table candidates as
select history.row_id
from history
where history.row_hash in (select firsts.row_hash from firsts);

create or replace temp table found as
select
    firsts.sequence,
    history.load_id, history.row_number, history.is_void, history.http_status,
    history.started_at_utc, history.ended_at_utc, history.payload
from history
inner join firsts using (row_hash, row_key, has_id)
where history.row_id in (select candidates.row_id from candidates)
qualify row_number() over (partition by firsts.sequence order by history.load_id desc, history.row_number desc) = 1;

create or replace temp table compared as
select
    found.sequence,
    sequenced.load_number,
    sequenced.place,
    found.http_status is not distinct from staged.http_status
    and (found.http_status is not distinct from 404 or found.payload = staged.payload) as is_same,
    found.http_status is not distinct from staged.http_status as is_comparable,
    case when not is_same and is_comparable then found.payload end as current_payload
from found
inner join sequenced using (sequence)
inner join staged on sequenced.load_number = staged.load_number and sequenced.place = staged.place
where not found.is_void and found.sequence not in (select contested.sequence from contested);

insert into unchanged
select sequence
from compared
where is_same
"""

DIFFERENT = """
select compared.sequence, staged.payload, compared.current_payload
from compared
inner join staged using (load_number, place)
where compared.current_payload is not null and staged.payload is not null
"""

CONTESTED = """
select
    sequenced.row_key, sequenced.has_id, sequenced.row_hash, sequenced.load_number, sequenced.sequence, staged.payload
from contested
inner join firsts using (sequence)
inner join sequenced using (row_hash, row_key, has_id)
inner join staged on sequenced.load_number = staged.load_number and sequenced.place = staged.place
order by sequenced.row_hash, sequenced.row_key, sequenced.has_id, sequenced.sequence
"""

VERSIONS = """
select load_id, payload, is_void
from history
where row_hash = ? and row_key = ? and has_id = ?
order by load_id, row_number
"""

# Each key's first row, and the others of a contested one, as far as they are not in force already.
CHOSEN = """
create or replace temp table chosen as
select sequence
from (
    select firsts.sequence
    from firsts
    union all
    select sequenced.sequence
    from contested
    inner join firsts using (sequence)
    inner join sequenced using (row_hash, row_key, has_id)
    where sequenced.sequence <> firsts.sequence
)
where sequence not in (select unchanged.sequence from unchanged)
"""

# What a resource's table has between a row's key and its payload.
_BETWEEN = {
    "usage_sessions": "false, sequenced.is_running, sequenced.started, sequenced.ended, sequenced.external_user_id,",
    "sandboxes": "sequenced.external_user_id,",
    "quotas": "staged.http_status,",
    "usage_rollups": "",
    "usage_summaries": "",
}

INSERT = {
    resource: f"""
        insert into raw.{resource}
        select
            sequenced.load_id, sequenced.place + 1, sequenced.row_key, sequenced.has_id, sequenced.row_hash, {between}
            staged.payload, staged.normalized
        from sequenced
        inner join staged on sequenced.load_number = staged.load_number and sequenced.place = staged.place
        where sequenced.sequence in (select chosen.sequence from chosen)
    """  # noqa: S608 - both are the constants above
    for resource, between in _BETWEEN.items()
}

REMEMBER_ASKED = """
insert into raw.quota_progress
select staged.given_key, examined.started_at
from staged
inner join examined using (load_number)
where examined.load_id is not null
"""

# The clock may have been set back since: a moment that is still to come says nothing.
ASKED = "select distinct row_key from raw.quota_progress where asked_at_utc between $1 and $2"

INSERT_QUOTA_CHANGES = """
insert into raw.quota_changes
select
    unnest($1::varchar[]), $2, $3, unnest($4::varchar[]), unnest($5::varchar[]), unnest($6::integer[]),
    unnest($7::varchar[]), unnest($8::boolean[]), unnest($9::varchar[]), $10
"""

ADDED = "select load_number, count(*) from sequenced where sequence in (from chosen) group by load_number"

REMEMBER_LISTED = """
insert into listed
select firsts.row_hash, firsts.row_key, firsts.has_id
from firsts
"""

# Notes the months of some sessions (`started`, `ended`), as far as they are not noted yet. A session that ends exactly
# on a cut has no part after it (rule 13).
_NOTE_MONTHS = """
insert into raw.figures_due
select distinct
    date_trunc('month', started)::timestamp as first_month_at_utc,
    date_trunc('month', case when ended > started then ended - interval 1 microsecond else started end)::timestamp
        as last_month_at_utc
from ({})
where started is not null and ended is not null
except
from raw.figures_due
"""

# Of what a landing lists, and of the versions that it takes the place of.
NOTE_LISTED_MONTHS = _NOTE_MONTHS.format(
    """
    select started, ended from sequenced
    union all
    select found.started_at_utc, found.ended_at_utc from found inner join chosen using (sequence)
    """
)

# Nothing but an API that selects by start or by overlap lists an ended session that outlasts the window asked for.
REMEMBER_CROSSING = """
insert into crossing
select any_value(sequenced.load_id)
from sequenced
where
    not sequenced.is_running
    and sequenced.started < sequenced.window_end
    and sequenced.ended > sequenced.window_end + interval 1 second
having count(*) > 0
"""

# Sessions that this run's windows tell different things of, after load $1: the last window that did, of each.
REMEMBER_UNSETTLED = """
insert into unsettled
select sequenced.load_id
from found
inner join chosen using (sequence)
inner join sequenced using (sequence)
where found.load_id > $1
union
select max(sequenced.load_id)
from contested
inner join firsts using (sequence)
inner join sequenced using (row_hash, row_key, has_id)
group by contested.sequence
having min(sequenced.load_id) < max(sequenced.load_id)
"""

UNSETTLED = """
select distinct loads.window_start_at_utc, loads.window_end_at_utc
from unsettled
inner join raw.loads as loads using (load_id)
where loads.window_start_at_utc is not null
order by loads.window_start_at_utc
"""

KEEP_REST = """
create or replace temp table staged as
from staged
where load_number not in (select load_number from examined where load_id is not null)
"""

# Of the loads last examined, which are the ones at hand.
UNKNOWN_FIELDS = """
select distinct name
from (
    select unnest(keys) as name
    from key_lists
    union all
    select unnest(try(json_keys(staged.normalized))) as name
    from staged
    inner join examined using (load_number)
    where staged.normalized is not null
)
where not list_contains($1::varchar[], name)
order by name
"""

SEEN_BEFORE = """
select 1
from raw.usage_sessions
where
    load_id < $1 and (contains(payload, $2) or contains(payload, '\\u'))
    and list_contains(try(json_keys(coalesce(payload_normalized, payload))), $2)
limit 1
"""

RUNNING = """
with current as (
    select is_running, is_void, started_at_utc
    from raw.usage_sessions
    where row_hash in (select row_hash from raw.usage_sessions where is_running)
    qualify row_number() over (partition by row_hash, row_key, has_id order by load_id desc, row_number desc) = 1
)
select distinct date_trunc('day', started_at_utc)::timestamp as day
from current
where is_running and not is_void and started_at_utc is not null
order by day
"""

# The start lies in one window, the end in the same or another one, whatever lies between them: an API that selects by
# start lists the session in the first, one that selects by end in the second, one that selects by overlap in both. A
# session last seen running may have ended at any time since, so all of that time (`ended_at_utc` to `covered_until`)
# has to lie in one window. An end exactly on a window's end is not covered: whether the API then lists the session
# depends on how it selects.
UNLISTED = """
create or replace temp table unlisted as
with suspects as (
    select distinct history.row_hash, history.row_key, history.has_id
    from history
    semi join covered_windows
        on history.started_at_utc >= covered_windows.starts and history.started_at_utc < covered_windows.ends
    anti join listed
        on history.row_hash = listed.row_hash and history.row_key = listed.row_key and history.has_id = listed.has_id
    where not history.is_void
),
current as (
    select
        history.row_hash, history.row_key, history.has_id, history.is_void, history.started_at_utc,
        history.ended_at_utc,
        case when history.is_running then greatest(history.ended_at_utc, $running_until) else history.ended_at_utc end
            as covered_until
    from history
    inner join suspects using (row_hash, row_key, has_id)
    qualify row_number() over (
        partition by history.row_hash, history.row_key, history.has_id
        order by history.load_id desc, history.row_number desc
    ) = 1
)
select current.row_hash, current.row_key, current.has_id, current.started_at_utc, current.ended_at_utc
from current
semi join covered_windows as of_start
    on current.started_at_utc >= of_start.starts and current.started_at_utc < of_start.ends
semi join covered_windows as of_end
    on current.ended_at_utc >= of_end.starts and current.covered_until < of_end.ends
where not current.is_void
"""

COVERED = """
with current as (
    select
        arg_max(
            {
                'is_void': is_void,
                'starts': started_at_utc,
                'ends': ended_at_utc,
                'covered_until':
                    case when is_running then greatest(ended_at_utc, $running_until) else ended_at_utc end
            },
            load_id::hugeint * 1099511627776 + row_number
        ) as version
    from history
    where row_hash in (
        select inside.row_hash
        from history as inside
        semi join covered_windows
            on inside.started_at_utc >= covered_windows.starts and inside.started_at_utc < covered_windows.ends
    )
    group by row_hash, row_key, has_id
)
select count(*)
from current
semi join covered_windows as of_start
    on current.version.starts >= of_start.starts and current.version.starts < of_start.ends
semi join covered_windows as of_end
    on current.version.ends >= of_end.starts and current.version.covered_until < of_end.ends
where not current.version.is_void
"""

INSERT_VOIDS = """
insert into raw.usage_sessions
select
    $1, row_number() over (order by row_hash, row_key, has_id), row_key, has_id, row_hash, true, false,
    started_at_utc, ended_at_utc, null, null, null
from unlisted
"""

NOTE_VOIDED_MONTHS = _NOTE_MONTHS.format("select started_at_utc as started, ended_at_utc as ended from unlisted")

# The sandboxes that a landing shows with another owner than before, and from when on that counts: always for the first
# owner that is known, else from the load's start (rule 9).
NEW_OWNERS = """
create or replace temp table new_owners as
with shown as (
    select sequenced.row_key, sequenced.external_user_id, sequenced.load_id, examined.started_at
    from sequenced
    inner join examined using (load_number)
    where
        sequenced.sequence in (select chosen.sequence from chosen)
        and sequenced.has_id
        and sequenced.external_user_id not in ('', '(unattributed)')
),
known as (
    select row_key, arg_max(external_user_id, load_id::hugeint * 1099511627776 + row_number) as external_user_id
    from raw.sandboxes
    where
        has_id
        and external_user_id not in ('', '(unattributed)')
        and row_key in (select shown.row_key from shown)
        and load_id < (select min(shown.load_id) from shown)
    group by row_key
)
select
    shown.row_key as sandbox_id,
    min(case when known.row_key is null then timestamp '0001-01-01 00:00:00' else shown.started_at end) as since
from shown
left join known using (row_key)
where shown.external_user_id is distinct from known.external_user_id
group by shown.row_key;

select count(*) from new_owners
"""

# Months of their sessions that name no user themselves. Any version will do: a month too many costs two requests.
NOTE_OWNED_MONTHS = _NOTE_MONTHS.format(
    """
    select sessions.started_at_utc as started, sessions.ended_at_utc as ended
    from raw.usage_sessions as sessions
    inner join new_owners
        on
            try(json_extract_string(coalesce(sessions.payload_normalized, sessions.payload), '$.computer_id'))
            = new_owners.sandbox_id
            and sessions.started_at_utc >= new_owners.since
    where coalesce(sessions.external_user_id, '') = '' and sessions.payload is not null
    """
)

MONTHS_DUE = "select first_month_at_utc, last_month_at_utc from raw.figures_due"

USERS = """
select distinct external_user_id
from (
    select external_user_id from raw.usage_sessions
    union all
    select external_user_id from raw.sandboxes
    union all
    select row_key from raw.quotas
)
where external_user_id is not null and external_user_id not in ('', '(unattributed)')
order by external_user_id
"""
