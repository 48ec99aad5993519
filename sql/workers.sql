-- name: worker_renew
-- Renews a process's lease and holds its worker lock, shared, for as long as this session lasts. Both
-- are harmless to ask for again.
-- $1 worker, $2 seconds the lease lasts
insert into worker_lease (worker, ends_at)
values ($1, now() + make_interval(secs => $2))
on conflict (worker) do update set ends_at = excluded.ends_at
returning pg_try_advisory_lock_shared(1, worker) as held;

-- name: worker_end
-- A process ends in order: what it leaves is nobody's at once.
-- $1 worker
delete from worker_lease
where worker = $1;

-- name: workers_alive
-- The processes that live, or null when nobody can tell who is dead: see
-- functions/living_workers.sql.
-- $1 how old in seconds the session must be that proves it
select living_workers($1) as workers;
