-- name: slot_for_ingest
-- What a camera's request is checked against before its body is read: the slot, the window and
-- retention in force, its provider's limit, and whether this address is shut out.
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
    (
        select (value ->> slot.provider)::integer
        from settings
        where key = 'provider_max_in_flight'
    ) as provider_max_in_flight,
    (
        select ceil(extract(epoch from blocked_until - now()))::integer
        from login_throttle
        where subject = $2 and blocked_until > now()
    ) as blocked_seconds
from slot
where slot.id = $1;

-- name: slots_set_ingest_password
-- Gives every slot the same ingest password.
-- $1 Argon2id hash
update slot
set ingest_password_hash = $1;
