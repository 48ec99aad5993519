-- Hands a running job over to another provider if that has a place for it; null, or the refusal:
-- `interrupted` when the job is no longer pending.
-- of_job: the job; to_provider, to_operation, to_model, provider_limit: the plan it goes on with,
-- and that provider's limit in flight or null; attempts_so_far: the calls that were made;
-- of_worker: who asks; grace_seconds, settled_seconds: see dead_jobs
create or replace function move_job(
    of_job uuid, to_provider text, to_operation text, to_model text, provider_limit integer,
    attempts_so_far jsonb, of_worker integer,
    grace_seconds double precision, settled_seconds double precision
)
returns text
language plpgsql
as $$
declare
    offer record;
    closes_at timestamptz := (select deadline_at from job_history where id = of_job);
begin
    offer := refuse_place(of_job, to_provider, to_model, provider_limit, closes_at);
    if offer.refusal = 'provider_busy' and exists (
        select interrupt_dead_jobs(of_worker, null, to_provider, grace_seconds, settled_seconds)
    ) then
        offer := refuse_place(of_job, to_provider, to_model, provider_limit, closes_at);
    end if;
    if offer.refusal is not null then
        return offer.refusal;
    end if;

    update job_history
    set
        provider = to_provider,
        operation = to_operation,
        model = to_model,
        attempts = attempts_so_far,
        attempt_count = jsonb_array_length(attempts_so_far)
    where id = of_job and status = 'pending';
    return case when not found then 'interrupted' end;
end
$$;
