-- What a run notes for its later stages.
-- Grain: `listed` has one row per session listed, `listed_sandboxes` one per sandbox; `crossing` and `unsettled` one per
-- load; `covered_windows` one per window.
create or replace temp table listed (row_hash bigint, row_key varchar, has_id boolean);
create or replace temp table listed_sandboxes (row_hash bigint, row_key varchar, has_id boolean);
create or replace temp table crossing (load_id bigint);
create or replace temp table unsettled (load_id bigint);
create or replace temp table covered_windows (starts timestamp, ends timestamp);
