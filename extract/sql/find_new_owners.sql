-- Finds sandboxes that a landing shows with another owner than before, and from when that counts: always for the
-- first owner that is known, else from the start of the load (rule 9). Returns their number.
-- Grain: `new_owners` has one row per sandbox.
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
