-- Ends the jobs whose process died and forgets their photos; gives their ids. After a claim a call
-- follows at once, so each notes one that may be billed: see lost_attempt. The status is asked for
-- again: another process may have ended one in the meantime.
-- asking_worker, of_slot, of_provider, grace_seconds, settled_seconds: see dead_jobs
create or replace function interrupt_dead_jobs(
    asking_worker integer, of_slot text, of_provider text,
    grace_seconds double precision, settled_seconds double precision
)
returns setof uuid
language sql
as $$
    with dead as (
        update job_history as job
        set
            status = 'failed',
            failure_reason = 'interrupted',
            finished_at = now(),
            attempts = job.attempts
            || lost_attempt(job.provider, job.model, 'interrupted', job.attempts),
            attempt_count = job.attempt_count + 1
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
