-- name: job_claim
-- Takes the shot in as pending, or files it as refused by a limit, or finds the running or finished job
-- it is the retry of: see functions/claim_job.sql.
-- $1 job id, $2 slot id, $3 slot version, $4 source, $5 providers of the plans that may run, the first
-- one first, $6 their operations, $7 their models, $8 their providers' limits in flight or nulls,
-- $9 created at, $10 deadline, $11 client address, $12 device metadata, $13 idempotency key or null,
-- $14 source sha256, $15 source mime, $16 source bytes, $17 width, $18 height, $19 upload ms,
-- $20 slot's limit in flight, $21 daily limit or null, $22 time zone of the day,
-- $23 path of the source, $24 when the source is stale, $25 worker,
-- $26 grace in seconds after a window, $27 how old in seconds the session must be that proves who is
-- dead
select outcome, job_id, place, retry_seconds
from claim_job(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21,
    $22, $23, $24, $25, $26, $27
);

-- name: job_move
-- Hands a running shot over to the next plan's provider: see functions/move_job.sql. Null, or why it
-- has no place there.
-- $1 job id, $2 provider, $3 operation, $4 model, $5 provider's limit in flight or null,
-- $6 attempts so far, $7 worker, $8 grace in seconds after a window,
-- $9 how old in seconds the session must be that proves who is dead
select move_job($1, $2, $3, $4, $5, $6, $7, $8, $9) as refusal;

-- name: job_finish
-- The shot ends well, once: the job is done, its picture is known, its source is gone, and the model
-- has answered: see functions/mend_breaker.sql.
-- $1 job id, $2 attempts, $3 queue ms, $4 provider ms, $5 store ms, $6 total ms, $7 stored,
-- $8 delivered, $9 path of the result or null, $10 mime, $11 bytes, $12 sha256, $13 width,
-- $14 height, $15 expires at, $16 provider that made it, $17 its model as the slot ordered it
with done as (
    update job_history
    set
        status = 'done',
        finished_at = now(),
        provider = $16,
        attempts = $2,
        attempt_count = jsonb_array_length($2),
        tokens = (
            select sum((attempt ->> 'tokens')::bigint) from jsonb_array_elements($2) as attempt
        ),
        cost_microusd = (
            select sum((attempt ->> 'cost_microusd')::bigint)
            from jsonb_array_elements($2) as attempt
        ),
        queue_ms = $3,
        provider_ms = $4,
        store_ms = $5,
        total_ms = $6,
        stored = $7,
        delivered = $8
    where id = $1 and status = 'pending'
    returning id
),

source as (
    delete from media_object
    where job_id = $1 and kind = 'source'
),

result as (
    insert into media_object (kind, job_id, path, mime, bytes, sha256, width, height, expires_at)
    select 'result', done.id, $9, $10, $11, $12, $13, $14, $15
    from done
    where $9::text is not null
)

select count(*)::integer as finished
from done
cross join mend_breaker($16, $17);

-- name: job_fail
-- The shot ends badly, once, whether it was claimed or is refused before that.
-- $1 job id, $2 slot id, $3 slot version, $4 source, $5 status, $6 reason, $7 details for admins,
-- $8 provider, $9 operation, $10 created at, $11 client address, $12 device metadata,
-- $13 source sha256 or null, $14 source bytes or null, $15 attempts, $16 upload ms, $17 queue ms,
-- $18 provider ms, $19 total ms
with source as (
    delete from media_object
    where job_id = $1 and kind = 'source'
)

insert into job_history as job (
    id, slot_id, slot_version, source, status, failure_reason, failure_details, provider, operation,
    created_at, finished_at, client_address, device, source_sha256, source_bytes, attempts,
    upload_ms, queue_ms, provider_ms, total_ms, attempt_count, tokens, cost_microusd
)
select
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, now(), $11, $12, $13, $14, $15, $16, $17, $18, $19,
    jsonb_array_length($15),
    (select sum((attempt ->> 'tokens')::bigint) from jsonb_array_elements($15) as attempt),
    (select sum((attempt ->> 'cost_microusd')::bigint) from jsonb_array_elements($15) as attempt)
on conflict (id) do update set
    status = excluded.status,
    failure_reason = excluded.failure_reason,
    failure_details = excluded.failure_details,
    finished_at = excluded.finished_at,
    attempts = excluded.attempts,
    attempt_count = excluded.attempt_count,
    tokens = excluded.tokens,
    cost_microusd = excluded.cost_microusd,
    queue_ms = excluded.queue_ms,
    provider_ms = excluded.provider_ms,
    total_ms = excluded.total_ms
where job.status = 'pending';

-- name: job_mark_undelivered
-- The device left before it had the whole picture.
-- $1 job id
update job_history
set delivered = false
where id = $1;

-- name: job_forget
-- A guest takes a picture back: only what is counted stays of its job.
-- $1 job id
update job_history
set
    client_address = '',
    device = '{}',
    idempotency_key = null,
    source_sha256 = null,
    failure_details = null,
    attempts = (
        select coalesce(jsonb_agg(attempt - 'details' order by number), '[]')
        from jsonb_array_elements(attempts) with ordinality as made(attempt, number)
    )
where id = $1;

-- name: job_by_id
-- How a job stands, with its picture when it has one.
-- $1 job id
select
    job.id,
    job.slot_id,
    job.slot_version,
    job.source,
    job.status,
    job.failure_reason,
    job.created_at,
    job.deadline_at,
    job.finished_at,
    job.stored,
    job.delivered,
    job.total_ms,
    result.path as result_path,
    result.mime as result_mime,
    result.bytes as result_bytes,
    result.sha256 as result_sha256,
    result.width as result_width,
    result.height as result_height,
    result.expires_at as result_expires_at,
    result.cleaned_at as result_cleaned_at
from job_history as job
left join media_object as result
    on result.job_id = job.id and result.kind = 'result'
where job.id = $1;

-- name: jobs_interrupt
-- Ends the jobs whose process died: see functions/interrupt_dead_jobs.sql.
-- $1 worker that asks, $2 slot id and $3 provider: only jobs of either, or of all when both are null,
-- $4 grace in seconds after a window,
-- $5 how old in seconds the session must be that proves who is dead
select interrupt_dead_jobs($1, $2, $3, $4, $5) as id;

-- name: jobs_dead
-- The jobs whose process died, still pending: see functions/dead_jobs.sql.
-- $1 worker that asks, $2 slot id and $3 provider: only jobs of either, or of all when both are null,
-- $4 grace in seconds after a window,
-- $5 how old in seconds the session must be that proves who is dead
select id, created_at
from job_history
where id = any(array(select dead_jobs($1, $2, $3, $4, $5)));

-- name: job_adopt
-- The picture of a job whose process died was found complete: the job is done after all, once, with
-- the call that made it: see functions/lost_attempt.sql.
-- $1 job id, $2 when the picture was kept, $3 total ms, $4 path, $5 mime, $6 bytes, $7 sha256,
-- $8 width, $9 height, $10 until when it is kept unless a setting says for how many hours
with done as (
    update job_history
    set
        status = 'done',
        finished_at = $2,
        total_ms = $3,
        stored = true,
        attempts = attempts || lost_attempt(provider, model, 'ok', attempts),
        attempt_count = attempt_count + 1
    where id = $1 and status = 'pending'
    returning id
),

source as (
    delete from media_object
    using done
    where media_object.job_id = done.id and media_object.kind = 'source'
),

result as (
    insert into media_object (kind, job_id, path, mime, bytes, sha256, width, height, expires_at)
    select
        'result', done.id, $4, $5, $6, $7, $8, $9,
        coalesce(
            $2::timestamptz + make_interval(
                hours => (select value::integer from settings where key = 'result_ttl_hours')
            ),
            $10::timestamptz
        )
    from done
)

select count(*)::integer as adopted
from done;
