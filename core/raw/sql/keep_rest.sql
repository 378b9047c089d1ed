-- Forgets the staged rows of loads that have landed.
create or replace temp table staged as
from staged
where load_number not in (select load_number from examined where load_id is not null)
