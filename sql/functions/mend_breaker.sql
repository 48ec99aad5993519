-- A provider's model has answered: its failures in a row are over and its circuit breaker closes.
-- Writes once a second at most while all is well, so that shots which end together do not wait for
-- each other.
-- of_provider, of_model: whose
create or replace function mend_breaker(of_provider text, of_model text) returns void
language sql
as $$
    insert into breaker (provider, model, succeeded_at)
    select of_provider, of_model, now()
    where not exists (select from breaker where provider = of_provider and model = of_model)
    on conflict do nothing;

    update breaker
    set failures = 0, opened_at = null, probe_at = null, succeeded_at = now()
    where
        provider = of_provider
        and model = of_model
        and (failures > 0 or succeeded_at is null or succeeded_at < now() - interval '1 second');
$$;
