-- How many rows each load adds. Grain: one row per load that adds any.
select load_number, count(*) from sequenced where sequence in (from chosen) group by load_number
