-- name: worker_lock
-- Held by a process for as long as it lives, on a connection of its own: PostgreSQL lets go of it the
-- moment the process dies, however it dies.
-- $1 worker
select pg_advisory_lock(1, $1);

-- name: workers_alive
-- The processes that live, and whether PostgreSQL has been up long enough to be sure of the others.
-- $1 seconds PostgreSQL must have been up
select
    pg_postmaster_start_time() < now() - make_interval(secs => $1) as settled,
    array(
        select objid::bigint
        from pg_locks
        where
            locktype = 'advisory'
            and database = (select oid from pg_database where datname = current_database())
            and classid = 1
            and objsubid = 2
            and granted
    ) as workers;
