-- name: share_add
-- Gives out a gallery link.
-- $1 id, $2 slot id or null for all, $3 label, $4 admin, $5 expires at
insert into share (id, slot_id, label, created_by, expires_at)
values ($1, $2, $3, $4, $5)
returning id, slot_id, label, created_at, created_by, expires_at, revoked_at;

-- name: share_by_id
-- A gallery link, whatever became of it.
-- $1 id
select id, slot_id, label, created_at, created_by, expires_at, revoked_at
from share
where id = $1;

-- name: share_newest
-- The gallery links, newest first.
-- $1 at most so many
select id, slot_id, label, created_at, created_by, expires_at, revoked_at
from share
order by created_at desc, id desc
limit $1;

-- name: share_revoke
-- Takes a gallery link back, once.
-- $1 id
update share
set revoked_at = now()
where id = $1 and revoked_at is null;
