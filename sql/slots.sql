-- name: slot_for_ingest
-- What a camera's request is checked against before its body is read: the slot, the window and
-- retention in force, the providers' limits, and whether this address is shut out.
-- $1 slot id, $2 throttle subject, $3 retention in hours unless a setting says otherwise
select
    slot.id,
    slot.version,
    slot.provider,
    slot.operation,
    slot.settings,
    slot.templates,
    slot.fallback,
    slot.output,
    slot.is_active,
    slot.ingest_password_hash,
    slot.size_limit_mb,
    slot.max_in_flight,
    slot.daily_limit,
    slot.max_side_px,
    coalesce(
        slot.sync_response_seconds,
        (select value::integer from settings where key = 'sync_response_seconds')
    ) as sync_response_seconds,
    coalesce(
        (select value::integer from settings where key = 'result_ttl_hours'), $3::integer
    ) as result_ttl_hours,
    (select value from settings where key = 'provider_max_in_flight') as provider_max_in_flight,
    (
        select ceil(extract(epoch from blocked_until - now()))::integer
        from login_throttle
        where subject = $2 and blocked_until > now()
    ) as blocked_seconds
from slot
where slot.id = $1;

-- name: slot_set_every_ingest_password
-- Gives every slot the same ingest password.
-- $1 Argon2id hash
update slot
set ingest_password_hash = $1;

-- name: slot_all
-- Every slot as admins see it: all of it but the password's hash.
select
    id, name, provider, operation, settings, templates, fallback, output, is_active, size_limit_mb,
    max_in_flight, daily_limit, sync_response_seconds, max_side_px, version, updated_at, updated_by,
    ingest_password_hash is not null as has_ingest_password
from slot
order by id;

-- name: slot_by_id
-- One slot as admins see it.
-- $1 slot id
select
    id, name, provider, operation, settings, templates, fallback, output, is_active, size_limit_mb,
    max_in_flight, daily_limit, sync_response_seconds, max_side_px, version, updated_at, updated_by,
    ingest_password_hash is not null as has_ingest_password
from slot
where id = $1;

-- name: slot_last_shots
-- How the first call of each slot's last shot went, of those that called a provider since the slot was
-- changed, in the last 24 hours.
select
    slot.id as slot_id,
    job.status,
    job.created_at,
    job.attempts -> 0 ->> 'provider' as provider,
    job.attempts -> 0 ->> 'outcome' as outcome,
    job.attempts -> 0 ->> 'details' as details
from slot
cross join lateral (
    select shot.status, shot.created_at, shot.attempts
    from job_history as shot
    where
        shot.slot_id = slot.id
        and shot.slot_version = slot.version
        and shot.created_at > now() - interval '24 hours'
        and shot.status <> 'pending'
        and shot.attempt_count > 0
    order by shot.created_at desc
    limit 1
) as job;

-- name: slot_update
-- Changes a slot that is still the version which was read, and keeps the new version for ever.
-- $1 slot id, $2 version that was read, $3 name, $4 provider, $5 operation, $6 settings,
-- $7 templates, $8 fallback, $9 output, $10 is active, $11 size limit in MB, $12 max in flight,
-- $13 daily limit, $14 answer window in seconds, $15 max side in pixels, $16 admin
with changed as (
    update slot
    set
        name = $3,
        provider = $4,
        operation = $5,
        settings = $6,
        templates = $7,
        fallback = $8,
        output = $9,
        is_active = $10,
        size_limit_mb = $11,
        max_in_flight = $12,
        daily_limit = $13,
        sync_response_seconds = $14,
        max_side_px = $15,
        version = version + 1,
        updated_at = now(),
        updated_by = $16
    where id = $1 and version = $2
    returning *
),

kept as (
    insert into slot_version (slot_id, version, snapshot, created_at, created_by)
    select
        changed.id,
        changed.version,
        to_jsonb(changed) - 'ingest_password_hash',
        changed.updated_at,
        changed.updated_by
    from changed
)

select version
from changed;

-- name: slot_set_ingest_password
-- Gives one slot an ingest password of its own.
-- $1 slot id, $2 Argon2id hash
update slot
set ingest_password_hash = $2
where id = $1;

-- name: slot_version_page
-- A slot's history, newest first.
-- $1 slot id, $2 only versions below this one or null, $3 at most so many
select version, snapshot, created_at, created_by
from slot_version
where slot_id = $1 and ($2::integer is null or version < $2)
order by version desc
limit $3;

-- name: slot_version_by_number
-- One version of a slot.
-- $1 slot id, $2 version
select version, snapshot, created_at, created_by
from slot_version
where slot_id = $1 and version = $2;

-- name: slot_usage
-- What every slot may do and how much of it is used now.
-- $1 time zone of the day
select
    slot.id,
    slot.provider,
    slot.is_active,
    coalesce(
        slot.sync_response_seconds,
        (select value::integer from settings where key = 'sync_response_seconds')
    ) as window_seconds,
    slot.max_in_flight,
    (
        select count(*)
        from job_history
        where slot_id = slot.id and status = 'pending' and deadline_at > now()
    ) as in_flight,
    slot.daily_limit,
    (
        select count(*)
        from (
            select 1
            from job_history
            where
                slot_id = slot.id
                and slot.daily_limit is not null
                and created_at >= date_trunc('day', now(), $1)
                and deadline_at is not null
                and status <> 'failed'
            limit slot.daily_limit
        ) as counted
    ) as shots_today
from slot
order by slot.id;
