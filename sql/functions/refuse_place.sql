-- Whether a provider has room for one more shot and a circuit breaker that lets it through: no
-- refusal, or the reason of one and after how many seconds to come again. Takes the provider's lock
-- (2) until the transaction ends, so that only one at a time counts. A breaker's probe is used up
-- by who is let through.
-- of_job: the shot, which does not count against itself; of_provider, of_model: who would be
-- called; provider_limit: shots it may have in flight, or null for any number; closes_at: when the
-- shot's window closes, until then the probe is its own
create or replace function refuse_place(
    of_job uuid, of_provider text, of_model text, provider_limit integer, closes_at timestamptz,
    out refusal text, out retry_seconds integer
)
language plpgsql
as $$
begin
    perform pg_advisory_xact_lock(2, hashtext(of_provider));

    if provider_limit <= (
        select count(*) from job_history
        where
            provider = of_provider and status = 'pending' and deadline_at > now() and id <> of_job
    ) then
        refusal := 'provider_busy';
        return;
    end if;

    -- The call that is let through has until its window closes; if its process dies, another one goes.
    update breaker
    set probe_at = closes_at
    where provider = of_provider and model = of_model and probe_at <= now();
    if not found then
        select
            case
                when reason in ('provider_auth', 'provider_quota') then reason
                else 'provider_unavailable'
            end,
            ceil(extract(epoch from probe_at - now()))
        into refusal, retry_seconds
        from breaker
        where provider = of_provider and model = of_model and opened_at is not null;
    end if;
end
$$;
