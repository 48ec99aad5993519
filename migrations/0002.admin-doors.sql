-- What the admins' doors need: ended sessions, figures for statistics, indexes for the journal.
-- depends: 0001.first-light

set local lock_timeout = '3s';

create table ended_session (
    jti        uuid primary key,
    expires_at timestamptz not null
);
comment on table ended_session is 'Session tokens ended by a logout before their time; kept until they expire anyway.';
create index ended_session_expires on ended_session (expires_at);

alter table job_history
    add column attempt_count integer not null default 0,
    add column tokens bigint,
    add column cost_microusd bigint,
    add constraint job_history_attempt_count_is_natural check (attempt_count >= 0),
    add constraint job_history_cost_is_natural check (cost_microusd >= 0);
comment on column job_history.tokens is 'Tokens all attempts used by the provider''s own count; null when unknown.';
comment on column job_history.cost_microusd is 'Estimated price of all attempts, in millionths of a US dollar; null when unknown.';

-- Shots that ended, by hour and slot: long windows are summed from here. `latency` counts the done
-- ones by duration, in steps of a fifth: 1 is up to 50 ms, 2 up to 60 ms, 3 up to 72 ms and so on.
create table shot_hour (
    hour          timestamptz not null,
    slot_id       text not null,
    done          integer not null default 0,
    failed        integer not null default 0,
    timeout       integer not null default 0,
    attempts      bigint not null default 0,
    tokens        bigint not null default 0,
    cost_microusd bigint not null default 0,
    latency       integer[] not null default array_fill(0, array[40]),
    constraint shot_hour_pkey primary key (hour, slot_id)
);
comment on table shot_hour is 'Cameras'' shots that ended, counted by the trigger job_history_ended.';
comment on column shot_hour.slot_id is 'As in job_history; no foreign key: a lock somebody holds on a slot must not keep a shot from ending.';

create function latency_step(milliseconds integer) returns integer
language sql immutable
return least(40, greatest(1, 1 + ceil(ln(greatest(milliseconds, 1) / 50.0) / ln(1.2))::integer));

-- A trigger, so that no way to end a job can forget to count it.
create function count_ended_shot() returns trigger
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

create trigger job_history_ended_at_once
after insert on job_history
for each row when (new.status <> 'pending' and new.source = 'device')
execute function count_ended_shot();

create trigger job_history_ended
after update of status on job_history
for each row when (old.status = 'pending' and new.status <> 'pending' and new.source = 'device')
execute function count_ended_shot();

-- Short windows read nothing but this index: a window of time is one range of it.
create index job_history_statistics on job_history (created_at)
    include (slot_id, source, status, failure_reason, total_ms, attempt_count, tokens, cost_microusd);
-- The journal is walked in its order whatever the filter: the last columns of these are only compared,
-- so that a filter that matches little or nothing is decided in the index.
create index job_history_reason
    on job_history (failure_reason, created_at desc, id desc, status, source)
    where failure_reason is not null;
create index job_history_slot_reason
    on job_history (slot_id, failure_reason, created_at desc, id desc, status, source)
    where failure_reason is not null;
create index job_history_status on job_history (status, created_at desc, id desc, source)
    where status <> 'done';
create index job_history_slot_status
    on job_history (slot_id, status, created_at desc, id desc, source);
create index job_history_test
    on job_history (created_at desc, id desc, slot_id, status, failure_reason)
    where source = 'test';
create index job_history_reasons on job_history (created_at) include (slot_id, failure_reason)
    where failure_reason is not null and source = 'device';
create index job_history_gallery on job_history (slot_id, finished_at desc)
    where status = 'done' and source = 'device' and stored;
create index job_history_slot_failed on job_history (slot_id, created_at desc)
    where status in ('failed', 'timeout') and source = 'device';
create index media_object_results on media_object (created_at)
    where kind = 'result' and cleaned_at is null;
create index media_object_live on media_object (kind) include (bytes)
    where cleaned_at is null;
create index media_object_templates on media_object (created_at desc, id desc)
    where kind = 'template' and cleaned_at is null;
