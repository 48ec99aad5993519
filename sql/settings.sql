-- name: setting_all
-- Everything an admin may change for all slots.
select key, value, version, updated_at, updated_by
from settings
order by key;

-- name: setting_lock
-- Changes of settings stand in line until this transaction ends.
select pg_advisory_xact_lock(4, 0);

-- name: setting_put
-- Sets one of them.
-- $1 key, $2 value, $3 admin
insert into settings as known (key, value, updated_by)
values ($1, $2, $3)
on conflict (key) do update set
    value = excluded.value,
    version = known.version + 1,
    updated_at = now(),
    updated_by = excluded.updated_by;
