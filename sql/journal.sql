-- name: journal_page_older
-- A page of the journal, newest first, optionally below a known place.
-- $1 slot id, $2 status, $3 reason, $4 source, $5 from, $6 until (each null for any),
-- $7 created at and $8 id of the place or null, $9 at most so many
select
    id, slot_id, slot_version, source, status, failure_reason, provider, operation, created_at,
    finished_at, client_address, source_bytes, upload_ms, queue_ms, provider_ms, store_ms, total_ms,
    attempt_count, tokens, cost_microusd, stored, delivered
from job_history
where
    ($1::text is null or slot_id = $1)
    and ($2::text is null or status = $2)
    and ($3::text is null or failure_reason = $3)
    and ($4::text is null or source = $4)
    and ($5::timestamptz is null or created_at >= $5)
    and ($6::timestamptz is null or created_at < $6)
    and ($7::timestamptz is null or (created_at, id) < ($7, $8::uuid))
order by created_at desc, id desc
limit $9;

-- name: journal_page_newer
-- The page of the journal just above a known place, oldest first.
-- $1 slot id, $2 status, $3 reason, $4 source, $5 from, $6 until (each null for any),
-- $7 created at and $8 id of the place, $9 at most so many
select
    id, slot_id, slot_version, source, status, failure_reason, provider, operation, created_at,
    finished_at, client_address, source_bytes, upload_ms, queue_ms, provider_ms, store_ms, total_ms,
    attempt_count, tokens, cost_microusd, stored, delivered
from job_history
where
    ($1::text is null or slot_id = $1)
    and ($2::text is null or status = $2)
    and ($3::text is null or failure_reason = $3)
    and ($4::text is null or source = $4)
    and ($5::timestamptz is null or created_at >= $5)
    and ($6::timestamptz is null or created_at < $6)
    and (created_at, id) > ($7::timestamptz, $8::uuid)
order by created_at, id
limit $9;

-- name: journal_plan_for_values
-- Until this transaction ends every statement is planned for its values: the best index of a journal
-- page depends on which filters are set.
select set_config('plan_cache_mode', 'force_custom_plan', true);

-- name: journal_story
-- All that is written of one job.
-- $1 job id
select
    job.id, job.slot_id, job.slot_version, job.source, job.status, job.failure_reason,
    job.failure_details, job.provider, job.operation, job.created_at, job.deadline_at,
    job.finished_at, job.client_address, job.device, job.source_sha256, job.source_mime,
    job.source_bytes, job.source_width, job.source_height, job.attempts, job.upload_ms, job.queue_ms,
    job.provider_ms, job.store_ms, job.total_ms, job.attempt_count, job.tokens, job.cost_microusd,
    job.stored, job.delivered,
    result.mime as result_mime,
    result.bytes as result_bytes,
    result.width as result_width,
    result.height as result_height,
    result.expires_at as result_expires_at,
    result.cleaned_at as result_cleaned_at
from job_history as job
left join media_object as result
    on result.job_id = job.id and result.kind = 'result'
where job.id = $1;

-- name: journal_failures
-- The newest failures of cameras' shots in a window of time.
-- $1 slot id or null, $2 from, $3 until, $4 at most so many
select
    id, slot_id, slot_version, source, status, failure_reason, provider, operation, created_at,
    finished_at, client_address, source_bytes, upload_ms, queue_ms, provider_ms, store_ms, total_ms,
    attempt_count, tokens, cost_microusd, stored, delivered
from job_history
where
    status in ('failed', 'timeout')
    and failure_reason is not null
    and source = 'device'
    and created_at >= $2
    and created_at < $3
    and ($1::text is null or slot_id = $1)
order by created_at desc, id desc
limit $4;
