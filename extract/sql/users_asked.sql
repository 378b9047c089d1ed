-- Whose quota was asked for between two moments.
-- $1, $2: the moments; a clock may have been set back since, so a moment still to come says nothing. One row per user.
select distinct row_key from raw.quota_progress where asked_at_utc between $1 and $2
