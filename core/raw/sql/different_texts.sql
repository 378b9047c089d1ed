-- Rows whose text differs from that of the current version: perhaps only in spelling. Grain: one row per key.
select compared.sequence, staged.payload, compared.current_payload
from compared
inner join staged using (load_number, place)
where compared.current_payload is not null and staged.payload is not null
