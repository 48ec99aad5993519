set local lock_timeout = '3s';

drop function move_job(
    uuid, text, text, text, integer, jsonb, integer, double precision, double precision
);
drop function claim_job(
    uuid, text, integer, text, text[], text[], text[], integer[], timestamptz, timestamptz, text, jsonb,
    bytea, bytea, text, bigint, integer, integer, integer, integer, integer, text, text, timestamptz,
    integer, double precision, double precision
);
drop function refuse_place(uuid, text, text, integer, timestamptz);
drop function mend_breaker(text, text);
drop table breaker;

-- Takes a shot in as pending, or files it as refused by a limit, or finds the running or finished job
-- it is the retry of (`joined`). One call, so that the line of claims for a slot and a provider never
-- waits for a client. Each statement in it sees what the line did before: the lock is a statement of
-- its own, and only the count after it is true.
create function claim_job(
    new_id uuid, of_slot text, of_version integer, new_source text, of_provider text,
    new_operation text, arrived_at timestamptz, closes_at timestamptz, address text, told jsonb,
    new_key bytea, sha256 bytea, mime text, size bigint, width integer, height integer,
    uploaded_ms integer, slot_limit integer, provider_limit integer, day_limit integer,
    day_zone text, path text, stale_at timestamptz, of_worker integer,
    grace_seconds double precision, settled_seconds double precision
)
returns table (outcome text, job_id uuid)
language plpgsql
as $$
#variable_conflict use_column
declare
    twin record;
    verdict text;
    looked_for_dead boolean := false;
begin
    perform pg_advisory_xact_lock(2, hashtext(of_provider));
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

        verdict := case
            when twin.source_sha256 <> sha256 then 'idempotency_conflict'
            when twin.slot_version = of_version then 'joined'
            when slot_limit <= (
                select count(*) from job_history
                where slot_id = of_slot and status = 'pending' and deadline_at > now()
            ) then 'slot_busy'
            when provider_limit <= (
                select count(*) from job_history
                where provider = of_provider and status = 'pending' and deadline_at > now()
            ) then 'provider_busy'
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
            else 'claimed'
        end;

        exit when verdict = 'claimed' or looked_for_dead;
        looked_for_dead := true;
        exit when not exists (
            select interrupt_dead_jobs(
                of_worker, of_slot, of_provider, grace_seconds, settled_seconds
            )
        );
    end loop;

    if verdict in ('joined', 'idempotency_conflict') then
        return query select verdict, twin.id;
        return;
    end if;

    insert into job_history (
        id, slot_id, slot_version, source, status, failure_reason, provider, operation,
        created_at, deadline_at, finished_at, client_address, device, idempotency_key,
        source_sha256, source_mime, source_bytes, source_width, source_height, upload_ms, worker
    )
    values (
        new_id, of_slot, of_version, new_source,
        case when verdict = 'claimed' then 'pending' else 'failed' end,
        nullif(verdict, 'claimed'),
        of_provider, new_operation, arrived_at,
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
    return query select verdict, new_id;
end
$$;
