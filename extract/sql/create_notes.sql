-- What a run notes for its own later stages, and not for the next run. Grain: one row per window.
create or replace temp table covered_windows (starts timestamp, ends timestamp);
