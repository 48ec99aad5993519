set local lock_timeout = '3s';

drop index share_expires;

-- Ends the jobs whose process died: it no longer holds its lifeline, the advisory lock (1, worker), or
-- their window closed a while ago. After a restart of PostgreSQL the lifelines get a moment to come
-- back, and who asks surely lives. Only jobs of the slot or the provider, or of all when both are null.
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

drop function dead_jobs(integer, text, text, double precision, double precision);
