-- A second provider in the same window: a place for the fallback, and the breaker of a provider's model.
-- depends: 0004.which-house

set local lock_timeout = '3s';

create table breaker (
    provider     text not null,
    model        text not null,
    failures     integer not null default 0,
    reason       text,
    details      text,
    failed_at    timestamptz,
    succeeded_at timestamptz,
    opened_at    timestamptz,
    probe_at     timestamptz,
    constraint breaker_pkey primary key (provider, model),
    constraint breaker_failures_is_natural check (failures >= 0),
    constraint breaker_open_has_probe check ((opened_at is null) = (probe_at is null))
);
comment on table breaker is 'How the calls of a provider''s model went lately: failures in a row, and since when it is skipped.';
comment on column breaker.succeeded_at is 'Its last answer, true to a second.';
comment on column breaker.opened_at is 'Since when it is skipped; null while it is called.';
comment on column breaker.probe_at is 'From when one call is let through to see how it is; moved on by whoever makes that call.';

-- The model has answered. Writes once a second at most while all is well, so that shots which end
-- together do not wait for each other.
create function mend_breaker(of_provider text, of_model text) returns void
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

-- Whether a provider has room for one more shot, and a breaker that lets it through: no refusal, or the
-- reason of one and after how long to come again. Holds the provider's lock until the transaction ends.
create function refuse_place(
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

drop function claim_job(
    uuid, text, integer, text, text, text, timestamptz, timestamptz, text, jsonb, bytea, bytea, text,
    bigint, integer, integer, integer, integer, integer, integer, text, text, timestamptz, integer,
    double precision, double precision
);

-- Takes a shot in as pending for the first of its plans that has a place, or files it as refused, or
-- finds the running or finished job it is the retry of (`joined`). One call, so that the line of claims
-- for a slot and a provider never waits for a client. Each statement in it sees what the line did before:
-- the lock is a statement of its own, and only the count after it is true. `place` is the number of the
-- plan, from 1.
create function claim_job(
    new_id uuid, of_slot text, of_version integer, new_source text, providers text[],
    operations text[], models text[], provider_limits integer[],
    arrived_at timestamptz, closes_at timestamptz, address text, told jsonb,
    new_key bytea, sha256 bytea, mime text, size bigint, width integer, height integer,
    uploaded_ms integer, slot_limit integer, day_limit integer,
    day_zone text, path text, stale_at timestamptz, of_worker integer,
    grace_seconds double precision, settled_seconds double precision
)
returns table (outcome text, job_id uuid, place integer, retry_seconds integer)
language plpgsql
as $$
#variable_conflict use_column
declare
    twin record;
    verdict text;
    offer record;
    taken integer;
    retry integer;
    looked_for_dead boolean := false;
begin
    -- All that will be needed, and in one order: two slots may name two providers the other way round.
    perform pg_advisory_xact_lock(2, needed.key)
    from (
        select distinct hashtext(provider) as key from unnest(providers) as provider order by key
    ) as needed;
    perform pg_advisory_xact_lock(3, hashtext(of_slot));

    -- Once more if what stood in the way was the work of a dead process.
    loop
        select job.id, job.source_sha256, job.slot_version
        into twin
        from job_history as job
        left join media_object as result
            on result.job_id = job.id and result.kind = 'result'
        where
            job.slot_id = of_slot
            and job.idempotency_key = new_key
            and (
                (job.status = 'pending' and job.deadline_at > now())
                or (
                    job.status = 'done'
                    and result.cleaned_at is null
                    and result.expires_at > now()
                )
            )
        order by job.created_at desc
        limit 1;

        taken := 1;
        retry := null;
        verdict := case
            when twin.source_sha256 <> sha256 then 'idempotency_conflict'
            when twin.slot_version = of_version then 'joined'
            when slot_limit <= (
                select count(*) from job_history
                where slot_id = of_slot and status = 'pending' and deadline_at > now()
            ) then 'slot_busy'
            when day_limit <= (
                select count(*) from (
                    select 1 from job_history
                    where
                        slot_id = of_slot
                        and created_at >= date_trunc('day', arrived_at, day_zone)
                        and deadline_at is not null
                        and status <> 'failed'
                    limit day_limit
                ) as counted
            ) then 'quota_exceeded'
        end;

        -- Last, because it may use up a breaker's probe. When no plan has a place, the first one tells why.
        if verdict is null then
            for number in 1 .. cardinality(providers) loop
                offer := refuse_place(
                    new_id, providers[number], models[number], provider_limits[number], closes_at
                );
                if offer.refusal is null then
                    verdict := 'claimed';
                    taken := number;
                    exit;
                end if;
                if number = 1 then
                    verdict := offer.refusal;
                    retry := offer.retry_seconds;
                end if;
            end loop;
        end if;

        exit when verdict = 'claimed' or looked_for_dead;
        looked_for_dead := true;
        exit when not exists (
            select interrupt_dead_jobs(
                of_worker, of_slot, provider, grace_seconds, settled_seconds
            )
            from unnest(providers) as provider
        );
    end loop;

    if verdict in ('joined', 'idempotency_conflict') then
        return query select verdict, twin.id, null::integer, null::integer;
        return;
    end if;

    insert into job_history (
        id, slot_id, slot_version, source, status, failure_reason, failure_details, provider, operation,
        created_at, deadline_at, finished_at, client_address, device, idempotency_key,
        source_sha256, source_mime, source_bytes, source_width, source_height, upload_ms, worker
    )
    values (
        new_id, of_slot, of_version, new_source,
        case when verdict = 'claimed' then 'pending' else 'failed' end,
        nullif(verdict, 'claimed'),
        case when retry is not null then 'not called: it failed again and again' end,
        providers[taken], operations[taken], arrived_at,
        case when verdict = 'claimed' then closes_at end,
        case when verdict <> 'claimed' then now() end,
        address, told, new_key, sha256, mime, size, width, height, uploaded_ms, of_worker
    );
    if verdict = 'claimed' then
        insert into media_object (
            kind, job_id, path, mime, bytes, sha256, width, height, expires_at
        )
        values ('source', new_id, path, mime, size, sha256, width, height, stale_at);
    end if;
    return query select verdict, new_id, case when verdict = 'claimed' then taken end, retry;
end
$$;

-- Hands a running job over to another provider, if that has a place for it; else the refusal.
create function move_job(
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
        attempts = attempts_so_far,
        attempt_count = jsonb_array_length(attempts_so_far)
    where id = of_job and status = 'pending';
    return case when not found then 'interrupted' end;
end
$$;
