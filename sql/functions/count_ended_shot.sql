-- Counts a camera's shot in the hour it began, for statistics over long windows. Run by the
-- triggers job_history_ended and job_history_ended_at_once.
create or replace function count_ended_shot() returns trigger
language plpgsql
as $$
begin
    insert into shot_hour (hour, slot_id)
    values (date_trunc('hour', new.created_at, 'UTC'), new.slot_id)
    on conflict do nothing;
    update shot_hour
    set
        done = done + (new.status = 'done')::integer,
        failed = failed + (new.status = 'failed')::integer,
        timeout = timeout + (new.status = 'timeout')::integer,
        attempts = attempts + new.attempt_count,
        tokens = tokens + coalesce(new.tokens, 0),
        cost_microusd = cost_microusd + coalesce(new.cost_microusd, 0),
        latency[latency_step(new.total_ms)] =
            latency[latency_step(new.total_ms)] + (new.status = 'done')::integer
    where hour = date_trunc('hour', new.created_at, 'UTC') and slot_id = new.slot_id;
    return null;
end
$$;
