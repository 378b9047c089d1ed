-- The raw layer: what the API said, append-only. Created by the extractor, read by dbt as sources.
--
-- Nothing here is ever updated or deleted, except the extractor's own notes: raw.quota_progress, raw.figures_due,
-- raw.unfinished_run, raw.listed_sessions and raw.noted_loads.
-- A row is added only when its content differs from the current version of its key. The current version of a key is the
-- one with the highest (load_id, row_number): no clock decides. All times are UTC. The API's own words are in
-- `payload`; every other column is there to find, order or explain it.

create schema if not exists raw;

-- One row a complete load: one resource, one window, proven complete before it was landed. An incomplete or failed
-- load leaves no row here and none in the tables below. So does one that the key may not read, but for the platform's
-- own account: that leaves a row here whose `outcome` says so, and none in the tables below.
create table if not exists raw.loads (
    load_id bigint not null,                -- 1, 2, 3 …: the order in which loads were landed
    run_id varchar not null,                -- one run of the extractor, a UUID
    resource varchar not null,              -- usage_sessions | session_voids | sandboxes | quotas | usage_rollups | usage_summaries
                                            -- | credit_balances | credit_transactions | billing_invoices | billing_overviews
    window_start_at_utc timestamp,          -- start of the days asked for, inclusive; null where a resource has no window
    window_end_at_utc timestamp,            -- their end, exclusive
    started_at_utc timestamp not null,      -- when its first request was sent, by the extractor's clock
    ended_at_utc timestamp not null,        -- when its last answer was read
    pages bigint not null,                  -- answers read, without one that only confirmed the end of a list
    rows_listed bigint not null,            -- rows that the API listed, repeats included
    distinct_ids bigint not null,           -- distinct usable ids among them
    api_total bigint,                       -- the API's own total; null where it gives none
    rows_added bigint not null,             -- rows added to raw: 0 when everything was known already
    extractor_version varchar not null
);

-- Columns that later versions added. Loads of versions without them were all complete.
alter table raw.loads add column if not exists outcome varchar default 'complete';  -- complete | not allowed
alter table raw.loads add column if not exists http_status integer;                 -- of a refusal: 401, 403 or 404; else null

-- What holds for the whole file, written with its first load.
--
-- id_hash_check: there only where external ids are pseudonyms (MIOSA_ID_HASH_KEY). The same for the same key, so that
-- pseudonyms of two keys, or pseudonyms and plain ids, never meet in one file.
create table if not exists raw.settings (
    name varchar not null,
    value varchar not null
);

-- Versions of metered usage sessions, and voids.
create table if not exists raw.usage_sessions (
    load_id bigint not null,                -- the load that brought the row
    row_number bigint not null,             -- its place in that load, from 1, in page order
    row_key varchar not null,               -- the session's id; without a usable id: digest of the payload, '#', occurrence in its load
    has_id boolean not null,                -- whether row_key is an id (a non-empty JSON string)
    row_hash bigint not null,               -- 64 bits of the key's digest: finds candidates fast, never decides
    is_void boolean not null,               -- the API stopped listing the key, although the run asked for all its time
    is_running boolean not null,            -- the payload gives no end: its window is asked for again by later runs
    started_at_utc timestamp,               -- hint for the extractor (which windows, what is covered); null when unreadable
    ended_at_utc timestamp,                 -- hint likewise: the end, or how far a running session was known; null when unreadable
    external_user_id varchar,               -- hint likewise: whose quota to ask; as the row itself says, null when it says none
    payload varchar,                        -- the row as it came, byte for byte; null for a void
    payload_normalized varchar              -- only where DuckDB could not read payload alike (repeated keys, lone surrogates):
                                            -- the same row with the last of repeated keys, surrogates spelt out; null otherwise
);

-- Versions of sandboxes. The list is always read whole, so a sandbox that a load does not list is gone from it.
create table if not exists raw.sandboxes (
    load_id bigint not null,
    row_number bigint not null,             -- its place in the list; behind these, sandboxes that are no longer listed
    row_key varchar not null,               -- the sandbox's id, or a digest as above
    has_id boolean not null,
    row_hash bigint not null,
    external_user_id varchar,               -- hint: whose quota to ask
    payload varchar,                        -- null: no longer listed
    payload_normalized varchar
);

-- The answer for one user; a 404 is an answer too (no quota).
create table if not exists raw.quotas (
    load_id bigint not null,
    row_number bigint not null,
    row_key varchar not null,               -- the external_user_id asked for
    has_id boolean not null,                -- always true
    row_hash bigint not null,
    http_status integer not null,           -- 200, or 404 for no quota
    payload varchar,                        -- the answer's body as it came; may be null for a 404
    payload_normalized varchar
);

-- The answers in raw.quotas that a load brought again unchanged, so that it is known when each quota was last read.
create table if not exists raw.quota_reads (
    load_id bigint not null,                -- the load that brought the answer again
    row_key varchar not null                -- the external_user_id asked for, as in raw.quotas
);

-- How far a run that has not finished came with asking for quotas: whom a run cut off or failed need not ask again. No
-- source of figures; emptied when a run finishes, so the next one asks for everybody's quota.
create table if not exists raw.quota_progress (
    row_key varchar not null,               -- the external_user_id asked for, as in raw.quotas
    asked_at_utc timestamp not null         -- when the first request of its load was sent, by the extractor's clock
);

-- The months whose rollup and summary are to be read again, because a landing changed a figure in them (rule 34): noted
-- in the transaction of that landing, so that a run that was cut off leaves them to the next. No source of figures;
-- emptied when a run finishes.
create table if not exists raw.figures_due (
    first_month_at_utc timestamp not null,  -- start of the first month
    last_month_at_utc timestamp not null    -- start of the last month, which is included
);

-- A run that has not finished, so that the next one goes on from its lists of sessions: windows that were over when they
-- were read are not read again within a day. At most one row. No source of figures; emptied when a run finishes.
create table if not exists raw.unfinished_run (
    began_at_utc timestamp not null,        -- when the first of the runs since the last finished one began
    last_load_before bigint not null        -- id of the last load before it, 0 for none: later loads are of these runs
);

-- The sessions that it has listed: none of them is void. Likewise emptied.
create table if not exists raw.listed_sessions (
    row_hash bigint not null,
    row_key varchar not null,
    has_id boolean not null
);

-- What its loads showed about windows. Likewise emptied.
create table if not exists raw.noted_loads (
    load_id bigint not null,
    reason varchar not null                 -- crossing: lists a session that outlasts its window
                                            -- unsettled: disagrees with another window about a session
);

-- What was changed at the vendor (python -m publish quotas apply), two rows a change: that it is about to be sent, and
-- what came of it. A change without an outcome was cut off: whether it took effect, the next answer in raw.quotas says.
create table if not exists raw.quota_changes (
    change_id varchar not null,             -- a UUID; also the Idempotency-Key of the request
    event varchar not null,                 -- intent | outcome
    recorded_at_utc timestamp not null,     -- by this machine's clock
    row_key varchar not null,               -- the external_user_id, as in raw.quotas
    method varchar not null,                -- PUT | DELETE
    http_status integer,                    -- of the answer; null for an intent, and where no answer came
    payload varchar,                        -- intent: the body sent, null for a DELETE. Outcome: the answer's body as it came
    is_in_force boolean,                    -- outcome: whether reading back showed what was wanted; null where it could not be read
    error varchar,                          -- outcome: what went wrong, in words; null where nothing did
    publisher_version varchar not null
);

-- The vendor's own figures, one answer a billing period: the whole body is the row, so a user that a later answer no
-- longer lists is gone with the version that listed it.
create table if not exists raw.usage_rollups (
    load_id bigint not null,
    row_number bigint not null,             -- always 1
    row_key varchar not null,               -- the billing period, YYYY-MM
    has_id boolean not null,                -- always true
    row_hash bigint not null,
    payload varchar,
    payload_normalized varchar
);

create table if not exists raw.usage_summaries (
    load_id bigint not null,
    row_number bigint not null,
    row_key varchar not null,
    has_id boolean not null,
    row_hash bigint not null,
    payload varchar,
    payload_normalized varchar
);

-- The platform's own account at the vendor: what it was charged, what it paid, and what is left. The whole answer, or
-- the whole row of a list, is the payload, as everywhere.
create table if not exists raw.credit_balances (
    load_id bigint not null,
    row_number bigint not null,             -- always 1
    row_key varchar not null,               -- always 'balance'
    has_id boolean not null,                -- always true
    row_hash bigint not null,
    payload varchar,
    payload_normalized varchar
);

create table if not exists raw.credit_transactions (
    load_id bigint not null,
    row_number bigint not null,
    row_key varchar not null,               -- the transaction's id, or a digest as above
    has_id boolean not null,
    row_hash bigint not null,
    payload varchar,
    payload_normalized varchar
);

create table if not exists raw.billing_invoices (
    load_id bigint not null,
    row_number bigint not null,
    row_key varchar not null,               -- the invoice's id, or a digest as above
    has_id boolean not null,
    row_hash bigint not null,
    payload varchar,
    payload_normalized varchar
);

create table if not exists raw.billing_overviews (
    load_id bigint not null,
    row_number bigint not null,             -- always 1
    row_key varchar not null,               -- always 'overview'
    has_id boolean not null,                -- always true
    row_hash bigint not null,
    payload varchar,
    payload_normalized varchar
);

-- What was seen at Stripe (python -m publish stripe --send): one row each time that the document of an invoice differed from what was
-- seen before. The newest row of an invoice is that with the highest read_number. Append-only.
create table if not exists raw.stripe_documents (
    read_number bigint not null,            -- 1, 2, 3 …: the order of reading
    invoice_id varchar not null,            -- ours
    kind varchar not null,                  -- invoice | credit: an invoice at Stripe, or a transaction of a customer's balance
    stripe_id varchar,                      -- null: nothing stands there
    stripe_customer_id varchar,
    currency varchar,                       -- in capital letters
    stripe_status varchar not null,         -- draft | open | paid | uncollectible | void | deleted; credited for a credit
    stripe_amount bigint,                   -- the sum of its lines, in Stripe's minor units
    line_count bigint,
    difference varchar,                     -- how it differs from what was closed, in words; null if it does not
    payload varchar,                        -- the object as Stripe's library read it, as JSON
    seen_at_utc timestamp not null          -- by this machine's clock
);

-- What happened to these invoices at Stripe (python -m publish stripe --sync): one row per version of an object, and of an invoice also
-- one per day on which it was read. The newest version of an object is that with the highest read_number. Append-only.
create table if not exists raw.stripe_events (
    read_number bigint not null,
    invoice_id varchar not null,            -- ours
    stripe_invoice_id varchar not null,
    object varchar not null,                -- invoice | payment | refund | dispute
    stripe_id varchar not null,
    status varchar,                         -- Stripe's own word
    currency varchar,                       -- in capital letters
    stripe_amount bigint,                   -- in Stripe's minor units: an invoice's total, or what was paid, refunded or disputed
    credited_amount bigint,                 -- invoice: covered by the customer's balance and by credit notes; else null
    due_at_utc timestamp,                   -- invoice: when it is due, or was finalized if it is charged at once; else null
    happened_at_utc timestamp,              -- when Stripe made the object, by Stripe's clock
    payload varchar not null,               -- the object as Stripe's library read it, as JSON
    seen_at_utc timestamp not null          -- by this machine's clock
);
