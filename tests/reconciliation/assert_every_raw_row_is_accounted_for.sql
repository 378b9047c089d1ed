-- Rule 7: no row is dropped silently. Each key of raw is exactly one of these: a session that counts, a rejected row, a void. (The
-- key test of stg_miosa__usage_sessions proves that no key has two staged rows.)
-- Keys are compared by their 64-bit digests, and rows by load and row number, because numbers join much faster than ids.
with

raw_rows as (

    select
        row_hash,
        load_id,
        row_number
    from {{ changed_part(source("miosa", "usage_sessions"), ["row_hash", "load_id"], "int_changed_sessions") }}

),

staged as (

    select
        row_hash,
        load_id,
        row_number,
        is_void,
        rejection_reason
    from {{ changed_part(ref("stg_miosa__usage_sessions"), ["row_hash", "load_id"], "int_changed_sessions") }}

),

sessions as (

    select
        load_id,
        row_number
    from {{ changed_part(ref("int_sessions")) }}

),

usable as (

    select * from staged
    where
        not is_void
        and rejection_reason is null

){% for rows in ["usable", "sessions"] %},

{{ rows }}_by_load as (

    select
        load_id,
        count(*) as row_count,
        {{ wide_sum("row_number") }} as row_numbers,
        {{ wide_sum("row_number * (row_number % 1000003)") }} as weighted_row_numbers
    from {{ rows }}
    group by load_id

){% endfor %}

select
    'raw row whose key is not staged' as what,
    raw_rows.load_id,
    raw_rows.row_number
from raw_rows
{{ anti_join() }} staged on raw_rows.row_hash = staged.row_hash
union all
select
    'staged row that is not in raw' as what,
    staged.load_id,
    staged.row_number
from staged
{{ anti_join() }} raw_rows
    on
        staged.load_id = raw_rows.load_id
        and staged.row_number = raw_rows.row_number
        and staged.row_hash = raw_rows.row_hash
union all
select
    'void and rejected' as what,
    staged.load_id,
    staged.row_number
from staged
where
    staged.is_void
    and staged.rejection_reason is not null
union all
select
    'load whose usable rows are not its sessions' as what,
    coalesce(usable_by_load.load_id, sessions_by_load.load_id) as load_id,
    null as row_number
from usable_by_load
full outer join sessions_by_load on usable_by_load.load_id = sessions_by_load.load_id
where
    usable_by_load.row_count is distinct from sessions_by_load.row_count
    or usable_by_load.row_numbers is distinct from sessions_by_load.row_numbers
    or usable_by_load.weighted_row_numbers is distinct from sessions_by_load.weighted_row_numbers
