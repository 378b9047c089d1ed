-- Says on every row why the figures are not proven. Value: the reason.
create or replace temp table charges as
select
    *,
    ?::varchar as x_Unproven
from charges
