-- name: stats_totals
-- Figures of a window of time for all slots together (slot null) and for each slot that had shots.
-- Tests do not count.
-- $1 from, $2 until
select
    slot_id,
    count(*) as shots,
    count(*) filter (where status = 'done') as done,
    count(*) filter (where status = 'failed') as failed,
    count(*) filter (where status = 'timeout') as timeout,
    (percentile_disc(0.5) within group (order by total_ms) filter (where status = 'done'))
        as p50_ms,
    (percentile_disc(0.95) within group (order by total_ms) filter (where status = 'done'))
        as p95_ms,
    coalesce(sum(attempt_count), 0)::bigint as attempts,
    coalesce(sum(tokens), 0)::bigint as tokens,
    coalesce(sum(cost_microusd), 0)::bigint as cost_microusd
from job_history
where created_at >= $1 and created_at < $2 and source = 'device'
group by grouping sets ((), (slot_id))
order by slot_id nulls first;

-- name: stats_hours
-- Sums of whole hours for each slot that had shots, for windows too long to look at every shot.
-- $1 from, a whole hour, $2 until
select
    slot_id,
    sum(done)::bigint as done,
    sum(failed)::bigint as failed,
    sum(timeout)::bigint as timeout,
    sum(attempts)::bigint as attempts,
    sum(tokens)::bigint as tokens,
    sum(cost_microusd)::bigint as cost_microusd,
    array[
        sum(latency[1]), sum(latency[2]), sum(latency[3]), sum(latency[4]), sum(latency[5]),
        sum(latency[6]), sum(latency[7]), sum(latency[8]), sum(latency[9]), sum(latency[10]),
        sum(latency[11]), sum(latency[12]), sum(latency[13]), sum(latency[14]), sum(latency[15]),
        sum(latency[16]), sum(latency[17]), sum(latency[18]), sum(latency[19]), sum(latency[20]),
        sum(latency[21]), sum(latency[22]), sum(latency[23]), sum(latency[24]), sum(latency[25]),
        sum(latency[26]), sum(latency[27]), sum(latency[28]), sum(latency[29]), sum(latency[30]),
        sum(latency[31]), sum(latency[32]), sum(latency[33]), sum(latency[34]), sum(latency[35]),
        sum(latency[36]), sum(latency[37]), sum(latency[38]), sum(latency[39]), sum(latency[40])
    ]::bigint[] as latency
from shot_hour
where hour >= $1 and hour < $2
group by slot_id
order by slot_id;

-- name: stats_hour_series
-- Whole hours in steps of time, for charts; steps without a shot are left out.
-- $1 from, a whole hour, $2 until, $3 seconds per step, $4 slot id or null
select
    date_bin(make_interval(secs => $3), hour, $1::timestamptz) as at,
    sum(done)::bigint as done,
    sum(failed)::bigint as failed,
    sum(timeout)::bigint as timeout,
    array[
        sum(latency[1]), sum(latency[2]), sum(latency[3]), sum(latency[4]), sum(latency[5]),
        sum(latency[6]), sum(latency[7]), sum(latency[8]), sum(latency[9]), sum(latency[10]),
        sum(latency[11]), sum(latency[12]), sum(latency[13]), sum(latency[14]), sum(latency[15]),
        sum(latency[16]), sum(latency[17]), sum(latency[18]), sum(latency[19]), sum(latency[20]),
        sum(latency[21]), sum(latency[22]), sum(latency[23]), sum(latency[24]), sum(latency[25]),
        sum(latency[26]), sum(latency[27]), sum(latency[28]), sum(latency[29]), sum(latency[30]),
        sum(latency[31]), sum(latency[32]), sum(latency[33]), sum(latency[34]), sum(latency[35]),
        sum(latency[36]), sum(latency[37]), sum(latency[38]), sum(latency[39]), sum(latency[40])
    ]::bigint[] as latency
from shot_hour
where hour >= $1 and hour < $2 and ($4::text is null or slot_id = $4)
group by at
order by at;

-- name: stats_reasons
-- Why shots of a window of time failed, the most frequent reason first.
-- $1 from, $2 until, $3 slot id or null
select failure_reason as reason, count(*) as shots
from job_history
where
    created_at >= $1
    and created_at < $2
    and source = 'device'
    and failure_reason is not null
    and ($3::text is null or slot_id = $3)
group by failure_reason
order by shots desc, reason;

-- name: stats_series
-- A window of time in steps, for charts; steps without a shot are left out.
-- $1 from, $2 until, $3 seconds per step, $4 slot id or null
select
    date_bin(make_interval(secs => $3), created_at, $1::timestamptz) as at,
    count(*) filter (where status = 'done') as done,
    count(*) filter (where status = 'failed') as failed,
    count(*) filter (where status = 'timeout') as timeout,
    (percentile_disc(0.5) within group (order by total_ms) filter (where status = 'done'))
        as p50_ms,
    (percentile_disc(0.95) within group (order by total_ms) filter (where status = 'done'))
        as p95_ms
from job_history
where
    created_at >= $1
    and created_at < $2
    and source = 'device'
    and ($4::text is null or slot_id = $4)
group by at
order by at;

-- name: stats_slots_now
-- How each slot stands at this moment: its window, in flight, last success, last failure, and until
-- when the picture of that success may be shown.
select
    slot.id,
    slot.name,
    slot.is_active,
    slot.provider,
    coalesce(
        slot.sync_response_seconds,
        (select value::integer from settings where key = 'sync_response_seconds')
    ) as sync_response_seconds,
    (
        select count(*)
        from job_history as job
        where job.slot_id = slot.id and job.status = 'pending' and job.deadline_at > now()
    ) as in_flight,
    success.finished_at as last_success_at,
    success.id as last_success_job_id,
    picture.expires_at as last_picture_expires_at,
    failure.created_at as last_failure_at,
    failure.failure_reason as last_failure_reason
from slot
left join lateral (
    select job.id, job.finished_at
    from job_history as job
    where job.slot_id = slot.id and job.status = 'done' and job.source = 'device' and job.stored
    order by job.finished_at desc
    limit 1
) as success on true
left join media_object as picture
    on
        picture.job_id = success.id
        and picture.kind = 'result'
        and picture.cleaned_at is null
        and picture.expires_at > now()
left join lateral (
    select job.created_at, job.failure_reason
    from job_history as job
    where
        job.slot_id = slot.id
        and job.status in ('failed', 'timeout')
        and job.source = 'device'
    order by job.created_at desc
    limit 1
) as failure on true
order by slot.id;

-- name: stats_storage
-- Files and bytes that are kept now, by kind.
select kind, count(*) as files, coalesce(sum(bytes), 0)::bigint as bytes
from media_object
where cleaned_at is null
group by kind
order by kind;
