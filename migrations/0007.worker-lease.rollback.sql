set local lock_timeout = '3s';

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

-- Ends the jobs whose process died and forgets their photos; gives their ids. The status is asked
-- for again: another process may have ended one in the meantime.
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
        attempts = attempts_so_far,
        attempt_count = jsonb_array_length(attempts_so_far)
    where id = of_job and status = 'pending';
    return case when not found then 'interrupted' end;
end
$$;

-- Takes a shot in as pending for the first of its plans that has a place, or files it as refused,
-- or finds the running or finished job it is the retry of (`joined`). One call, so that the line of
-- claims for a slot and a provider never waits for a client. Each statement in it sees what the
-- line did before: the locks are a statement of their own, and only the count after them is true.
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

drop function same_order(text, integer, integer);
drop function lost_attempt(text, text, text, jsonb);
drop function living_workers(double precision);

comment on column job_history.worker is 'The process that took it in; alive while it holds the advisory lock (1, worker).';
alter table job_history drop column model;
drop table worker_lease;
