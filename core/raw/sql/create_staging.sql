-- The temporary tables that staging and examination fill.
-- Grain: `staged` has one row per load and place in its list; `examined` one per load that was examined last.
create or replace temp table staged (
    load_number integer, place bigint, given_key varchar, http_status integer, payload varchar, normalized varchar
);
create or replace temp table examined (
    load_number integer, started_at timestamp, window_end timestamp, load_id bigint
);
