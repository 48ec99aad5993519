-- The pending jobs whose process died: it no longer holds its worker lock, the advisory lock (1,
-- worker), or their window closed a while ago. After a restart of PostgreSQL the locks get a moment
-- to come back, and who asks surely lives.
-- asking_worker: who asks; of_slot, of_provider: only jobs of either, or of all when both are null;
-- grace_seconds: after the window; settled_seconds: PostgreSQL must have been up for
create or replace function dead_jobs(
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
