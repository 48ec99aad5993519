-- The processes that live: they hold a worker lock, the advisory lock (1, worker), or their lease
-- has not run out. Null when nobody can tell who is dead: only a worker lock whose session is old
-- proves that PostgreSQL was there all the time, and that a lease which ran out could have been
-- renewed. After a restart, a failover or a first start there is none for a while.
-- settled_seconds: how old that session must be
create or replace function living_workers(settled_seconds double precision) returns integer[]
language sql stable
as $$
    with held as (
        select lock.objid::integer as worker, session.backend_start as since
        from pg_locks as lock
        inner join pg_stat_activity as session on session.pid = lock.pid
        where
            lock.locktype = 'advisory'
            and lock.database = (select oid from pg_database where datname = current_database())
            and lock.classid = 1
            and lock.objsubid = 2
            and lock.granted
    )

    select case when exists (
        select from held where since < now() - make_interval(secs => settled_seconds)
    ) then array(
        select worker from held
        union
        select worker from worker_lease where ends_at > now()
    ) end
$$;
