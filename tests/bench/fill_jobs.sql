-- Jobs of a service that has worked for a while, oldest first; the same ones each time but for their
-- ids. slot-014 never succeeds, slot-015 has rested for the second half of the time.
-- Parameters: how many jobs, over how many days up to now.
with given as (
    select %s::bigint as jobs, %s::integer as days
),

-- A draw is a number from 0 to 1.
drawn as (
    select
        n,
        (hashint8extended(n, 1) & 1048575) / 1048576.0::float8 as place_draw,
        (hashint8extended(n, 2) & 1048575) / 1048576.0::float8 as outcome_draw,
        (hashint8extended(n, 3) & 1048575) / 1048576.0::float8 as time_draw,
        (hashint8extended(n, 4) & 1048575) / 1048576.0::float8 as attempt_draw,
        hashint8extended(n, 5) & 1023 < 5 as is_test,
        now() - interval '2 minutes' - make_interval(secs => (jobs - n) * days * 86400.0 / jobs) as created_at,
        n > jobs / 2 as is_recent
    from given, generate_series(1, jobs) as n
),

placed as (
    select
        *,
        case
            when is_recent and place_draw > 0.94 then 1
            else 1 + floor(15 * place_draw ^ 1.3)::integer
        end as slot
    from drawn
),

judged as (
    select
        *,
        case
            when slot = 14 then 'provider_auth'
            when outcome_draw < 0.87 then null
            when outcome_draw < 0.90 then 'provider_timeout'
            when outcome_draw < 0.93 then 'provider_no_image'
            when outcome_draw < 0.95 then 'content_blocked'
            when outcome_draw < 0.97 then 'provider_unavailable'
            when outcome_draw < 0.98 then 'upload_timeout'
            when outcome_draw < 0.99 then 'slot_busy'
            when outcome_draw < 0.99998 then 'client_closed'
            else 'storage_error'
        end as reason
    from placed
),

called as (
    select
        *,
        case
            when reason is null then 'done'
            when reason in ('provider_timeout', 'upload_timeout') then 'timeout'
            else 'failed'
        end as status,
        case
            when reason in ('upload_timeout', 'slot_busy', 'client_closed') then 0
            when attempt_draw < 0.93 then 1
            else 2
        end as attempt_count,
        -- Most pictures take 5 to 15 seconds, some far longer.
        case
            when reason = 'provider_timeout' then 46900
            else (400 + 6000 * exp(1.1 * time_draw + 1.2 * time_draw ^ 8))::integer
        end as total_ms
    from judged
)

insert into job_history (
    id, slot_id, slot_version, source, status, failure_reason, failure_details, provider, operation,
    created_at, deadline_at, finished_at, client_address, device, idempotency_key, source_sha256,
    source_mime, source_bytes, source_width, source_height, attempts, attempt_count, tokens,
    cost_microusd, upload_ms, queue_ms, provider_ms, store_ms, total_ms, stored, delivered
)
select
    gen_random_uuid(),
    'slot-' || lpad(slot::text, 3, '0'),
    1,
    case when is_test then 'test' else 'device' end,
    status,
    reason,
    case when reason like 'provider%%' then 'The model is overloaded. Please try again later.' end,
    'gemini',
    'image_edit',
    created_at,
    created_at + interval '48 seconds',
    created_at + make_interval(secs => total_ms / 1000.0),
    '10.20.0.' || slot,
    jsonb_build_object(
        'filename', 'IMG_' || n || '.JPG',
        'time', n::text,
        'user_id', '1',
        'id', '063012001234' || n || '.',
        'profile', 'C:\Users\Studio\Documents\DSLR Remote Pro\profile.xml',
        'name', 'STUDIO-PC',
        'model', 'Windows',
        'version', '3.30.2'
    ),
    sha256(n::text::bytea),
    sha256(slot::text::bytea || n::text::bytea),
    'image/jpeg',
    3500000 + n %% 1000000,
    6000,
    4000,
    coalesce(
        (
            select
                jsonb_agg(
                    jsonb_build_object(
                        'provider', 'gemini',
                        'model', 'gemini-3-pro-image',
                        'outcome', coalesce(reason, 'ok'),
                        'started_ms', attempt * 900,
                        'ms', total_ms - 400,
                        'maybe_billed', false,
                        'tokens', 1400,
                        'cost_microusd', 39000
                    )
                )
            from generate_series(1, attempt_count) as attempt
        ),
        '[]'
    ),
    attempt_count,
    1400 * nullif(attempt_count, 0),
    39000 * nullif(attempt_count, 0),
    250,
    60,
    case when attempt_count > 0 then total_ms - 400 end,
    case when reason is null then 40 end,
    total_ms,
    case when reason is null then true end,
    case when reason is null then true end
from called
order by n;
