-- Numbers the loads to land on from the last load; loads that are not to land keep no number.
-- $1: id of the last load; $2: numbers of the loads to land, in order.
update examined set load_id = $1 + nullif(list_position($2::integer[], load_number), 0)
