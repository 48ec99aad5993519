-- name: audit_add
-- Writes down who did what.
-- $1 actor, $2 address, $3 action, $4 target, $5 details
insert into audit_log (actor, address, action, target, details)
values ($1, $2, $3, $4, $5);

-- name: audit_page
-- What was done, newest first.
-- $1 only entries below this id or null, $2 actor or null, $3 action or null, $4 at most so many
select id, at, actor, address, action, target, details
from audit_log
where
    ($1::bigint is null or id < $1)
    and ($2::text is null or actor = $2)
    and ($3::text is null or action = $3)
order by id desc
limit $4;

-- name: audit_signed_in_from
-- From which addresses somebody signed in lately, the newest first.
-- $1 actor, $2 days, $3 at most so many
select address
from audit_log
where actor = $1 and action = 'auth.login.success' and at > now() - make_interval(days => $2)
order by id desc
limit $3;
