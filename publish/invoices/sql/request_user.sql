-- Request the documents of a user. $1: the id.
insert into requested_users (external_user_id) values ($1)
