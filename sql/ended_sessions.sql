-- name: ended_session_add
-- Ends a session before its time.
-- $1 token id, $2 when it would have expired
insert into ended_session (jti, expires_at)
values ($1, $2)
on conflict (jti) do nothing;

-- name: ended_session_contains
-- Whether a session was ended before its time.
-- $1 token id
select exists(select from ended_session where jti = $1);
