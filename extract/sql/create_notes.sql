-- What a run notes for its own later stages, and not for the next run.
-- Grain: `covered_windows` has one row per window, `listed_sandboxes` one per sandbox listed.
create or replace temp table listed_sandboxes (row_hash bigint, row_key varchar, has_id boolean);
create or replace temp table covered_windows (starts timestamp, ends timestamp);
