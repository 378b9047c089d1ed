-- The number of charges. One row.
select count(*) from charges
