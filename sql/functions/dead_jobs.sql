-- The pending jobs whose process died: it is not among the living_workers, or their window closed a
-- while ago. Who asks surely lives.
-- asking_worker: who asks; of_slot, of_provider: only jobs of either, or of all when both are null;
-- grace_seconds: after the window; settled_seconds: see living_workers
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
                and job.worker <> all((select living_workers(settled_seconds))::integer[])
            )
        )
$$;
