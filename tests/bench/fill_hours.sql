-- Counts every camera's shot that ended, as the trigger job_history_ended would have one by one.
with ended as (
    select
        date_trunc('hour', created_at, 'UTC') as hour,
        slot_id,
        status,
        attempt_count,
        tokens,
        cost_microusd,
        case when status = 'done' then latency_step(total_ms) end as step
    from job_history
    where status <> 'pending' and source = 'device'
),

by_step as (
    select
        hour,
        slot_id,
        step,
        count(*) filter (where status = 'done') as done,
        count(*) filter (where status = 'failed') as failed,
        count(*) filter (where status = 'timeout') as timeout,
        sum(attempt_count) as attempts,
        coalesce(sum(tokens), 0) as tokens,
        coalesce(sum(cost_microusd), 0) as cost_microusd
    from ended
    group by hour, slot_id, step
),

by_hour as (
    select
        hour,
        slot_id,
        sum(done) as done,
        sum(failed) as failed,
        sum(timeout) as timeout,
        sum(attempts) as attempts,
        sum(tokens) as tokens,
        sum(cost_microusd) as cost_microusd,
        jsonb_object_agg(step, done) filter (where step is not null) as latency
    from by_step
    group by hour, slot_id
)

insert into shot_hour (
    hour, slot_id, done, failed, timeout, attempts, tokens, cost_microusd, latency
)
select
    hour, slot_id, done, failed, timeout, attempts, tokens, cost_microusd,
    array(
        select coalesce((latency ->> step::text)::integer, 0)
        from generate_series(1, 40) as step
        order by step
    )
from by_hour;
