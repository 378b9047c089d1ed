-- How many documents there are. One row.
select count(*) from documents
