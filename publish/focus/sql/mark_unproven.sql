-- Says on every row why the figures are not proven. $1: the reason.
-- noqa: disable=CP02
create or replace temp table charges as
select
    *,
    $1::varchar as x_Unproven
from charges
