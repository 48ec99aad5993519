-- What bin/cleanup asks for: the jobs whose process died, before they are ended; rows by their age.
-- depends: 0005.attempts

set local lock_timeout = '3s';

-- The jobs whose process died: it no longer holds its lifeline, the advisory lock (1, worker), or
-- their window closed a while ago. After a restart of PostgreSQL the lifelines get a moment to come
-- back, and who asks surely lives. Only jobs of the slot or the provider, or of all when both are null.
create function dead_jobs(
    asking_worker integer, of_slot text, of_provider text,
    grace_seconds double precision, settled_seconds double precision
)
returns setof uuid
language sql stable
as $$
    select job.id
    from job_history as job
    where
        job.status = 'pending'
        and (
            (of_slot is null and of_provider is null)
            or job.slot_id = of_slot
            or job.provider = of_provider
        )
        and (
            job.deadline_at < now() - make_interval(secs => grace_seconds)
            or (
                job.worker <> asking_worker
                and pg_postmaster_start_time() < now() - make_interval(secs => settled_seconds)
                and job.worker <> all(array(
                    select lifeline.objid::integer
                    from pg_locks as lifeline
                    where
                        lifeline.locktype = 'advisory'
                        and lifeline.database = (
                            select oid from pg_database where datname = current_database()
                        )
                        and lifeline.classid = 1
                        and lifeline.objsubid = 2
                        and lifeline.granted
                ))
            )
        )
$$;

-- Ends them. The status is asked for again: another process may have ended one in the meantime.
create or replace function interrupt_dead_jobs(
    asking_worker integer, of_slot text, of_provider text,
    grace_seconds double precision, settled_seconds double precision
)
returns setof uuid
language sql
as $$
    with dead as (
        update job_history as job
        set status = 'failed', failure_reason = 'interrupted', finished_at = now()
        where
            job.status = 'pending'
            and job.id = any(array(
                select dead_jobs(
                    asking_worker, of_slot, of_provider, grace_seconds, settled_seconds
                )
            ))
        returning job.id
    ),

    source as (
        delete from media_object
        using dead
        where media_object.job_id = dead.id and media_object.kind = 'source'
    )

    select id
    from dead
$$;

create index share_expires on share (expires_at);
