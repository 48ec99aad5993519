-- Takes a shot in as pending for the first of its plans that has a place, or files it as refused,
-- or finds the running or finished job it is the retry of (`joined`), under whichever version of the
-- slot orders the same: see same_order. One call, so that the line of claims for a slot and a
-- provider never waits for a client. Each statement in it sees what the line did before: the locks
-- are a statement of their own, and only the count after them is true.
-- Gives the outcome, the id of the new or the joined job, `place` (the number of the plan, from 1)
-- and after how many seconds a refused shot may come again.
-- new_id, of_slot, of_version, new_source: the job; providers, operations, models, provider_limits:
-- its plans, the first one first, with their providers' limits in flight or nulls; arrived_at,
-- closes_at: its window; address, told: the client and what the device said of itself; new_key:
-- idempotency key or null; sha256, mime, size, width, height: the photo; uploaded_ms: how long it
-- took to arrive; slot_limit: the slot's shots in flight; day_limit: its shots a day or null;
-- day_zone: time zone of that day; path, stale_at: the photo's file, and when it is stale;
-- of_worker: who claims; grace_seconds, settled_seconds: see dead_jobs
create or replace function claim_job(
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
        select
            job.id,
            job.source_sha256,
            job.slot_version = of_version
            or same_order(of_slot, job.slot_version, of_version) as is_same
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
        order by is_same desc, job.created_at desc
        limit 1;

        taken := 1;
        retry := null;
        verdict := case
            when twin.source_sha256 <> sha256 then 'idempotency_conflict'
            when twin.is_same then 'joined'
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
        model, created_at, deadline_at, finished_at, client_address, device, idempotency_key,
        source_sha256, source_mime, source_bytes, source_width, source_height, upload_ms, worker
    )
    values (
        new_id, of_slot, of_version, new_source,
        case when verdict = 'claimed' then 'pending' else 'failed' end,
        nullif(verdict, 'claimed'),
        case when retry is not null then 'not called: it failed again and again' end,
        providers[taken], operations[taken], models[taken], arrived_at,
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
