-- The life of each process as a lease that ends by itself; what a killed process may have paid for; a
-- retry that knows what was ordered.
-- depends: 0006.cleanup

set local lock_timeout = '3s';

create table worker_lease (
    worker  integer primary key,
    ends_at timestamptz not null
);
comment on table worker_lease is 'How long each process lives unless it says so again; renewed every second, removed at a clean end.';

alter table job_history add column model text;
comment on column job_history.model is 'The model it was taken in for, or was last handed over to.';
comment on column job_history.worker is 'The process that took it in; alive while it holds the advisory lock (1, worker) or its lease lasts.';

-- The processes that live: they hold a worker lock, the advisory lock (1, worker), or their lease
-- has not run out. Null when nobody can tell who is dead: only a worker lock whose session is old
-- proves that PostgreSQL was there all the time, and that a lease which ran out could have been
-- renewed. After a restart, a failover or a first start there is none for a while.
-- settled_seconds: how old that session must be
create or replace function living_workers(settled_seconds double precision) returns integer[]
language sql stable
as $$
    with held as (
        select lock.objid::integer as worker, session.backend_start as since
        from pg_locks as lock
        inner join pg_stat_activity as session on session.pid = lock.pid
        where
            lock.locktype = 'advisory'
            and lock.database = (select oid from pg_database where datname = current_database())
            and lock.classid = 1
            and lock.objsubid = 2
            and lock.granted
    )

    select case when exists (
        select from held where since < now() - make_interval(secs => settled_seconds)
    ) then array(
        select worker from held
        union
        select worker from worker_lease where ends_at > now()
    ) end
$$;

-- The call of a provider whose process died before it could say how it went, as an element of
-- job_history.attempts. When it began is not known: with the first call, or where the one before
-- ended.
-- of_provider, of_model: who was called; told: `interrupted`, then it may be billed, or `ok`, when
-- the picture it gave was found; earlier: the attempts before it
create or replace function lost_attempt(
    of_provider text, of_model text, told text, earlier jsonb
) returns jsonb
language sql immutable
as $$
    select jsonb_build_object(
        'provider', of_provider,
        'model', coalesce(of_model, ''),
        'outcome', told,
        'started_ms', coalesce(
            (earlier -> -1 ->> 'started_ms')::integer + (earlier -> -1 ->> 'ms')::integer, 0
        ),
        'ms', 0,
        'maybe_billed', told <> 'ok',
        'usage', '{}'::jsonb,
        'tokens', null,
        'cost_microusd', null,
        'details', 'its process ended before it could say how the call went and what it cost'
    )
$$;

-- Whether two versions of a slot order the same: from whom, what, how, with which templates, of a
-- photo of which size. Its name, its limits and whether it is open are not part of an order.
-- of_slot: the slot; one_version, other_version: the two
create or replace function same_order(
    of_slot text, one_version integer, other_version integer
) returns boolean
language sql stable
as $$
    select count(distinct jsonb_build_array(
        snapshot -> 'provider', snapshot -> 'operation', snapshot -> 'settings',
        snapshot -> 'templates', snapshot -> 'fallback', snapshot -> 'output',
        snapshot -> 'max_side_px'
    )) = 1
    from slot_version
    where slot_id = of_slot and version in (one_version, other_version)
$$;

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
