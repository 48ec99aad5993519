-- The whole house: fifteen slots, their history, the journal of shots, the files on disk.
-- depends:

set local lock_timeout = '3s';

create table slot (
    id                    text primary key,
    name                  text not null,
    provider              text not null,
    operation             text not null,
    settings              jsonb not null default '{}',
    templates             jsonb not null default '[]',
    fallback              jsonb,
    output                jsonb not null default '{}',
    is_active             boolean not null default true,
    ingest_password_hash  text,
    size_limit_mb         integer not null default 50,
    max_in_flight         integer not null default 4,
    daily_limit           integer,
    sync_response_seconds integer,
    max_side_px           integer not null default 2048,
    version               integer not null default 1,
    updated_at            timestamptz not null default now(),
    updated_by            text not null,
    constraint slot_id_is_canonical check (id ~ '^slot-[0-9]{3}$'),
    constraint slot_name_is_short check (char_length(name) between 1 and 120),
    constraint slot_settings_is_object check (jsonb_typeof(settings) = 'object'),
    constraint slot_templates_is_array check (jsonb_typeof(templates) = 'array'),
    constraint slot_fallback_is_object check (jsonb_typeof(fallback) = 'object'),
    constraint slot_output_is_object check (jsonb_typeof(output) = 'object'),
    constraint slot_size_limit_in_range check (size_limit_mb between 1 and 2048),
    constraint slot_max_in_flight_in_range check (max_in_flight between 1 and 1000),
    constraint slot_daily_limit_is_positive check (daily_limit > 0),
    constraint slot_window_in_range check (sync_response_seconds between 10 and 60),
    constraint slot_max_side_in_range check (max_side_px = 0 or max_side_px between 256 and 8192),
    constraint slot_version_is_positive check (version > 0)
);
comment on table slot is 'A place cameras post to: what is done to a shot, and within which limits.';
comment on column slot.fallback is 'A complete second plan (provider, operation, settings, templates) or null.';
comment on column slot.daily_limit is 'Shots a day that may cost money; null is unlimited.';
comment on column slot.sync_response_seconds is 'Answer window of this slot; null takes the setting of that name.';
comment on column slot.max_side_px is 'Photos are scaled down to this side before they leave; 0 sends them untouched.';

create table slot_version (
    slot_id    text not null,
    version    integer not null,
    snapshot   jsonb not null,
    created_at timestamptz not null default now(),
    created_by text not null,
    constraint slot_version_pkey primary key (slot_id, version),
    constraint slot_version_of_slot foreign key (slot_id) references slot (id),
    constraint slot_version_is_positive check (version > 0)
);
comment on table slot_version is 'Append-only: what each version of a slot was, who made it and when.';

create table job_history (
    id                uuid primary key,
    slot_id           text not null,
    slot_version      integer not null,
    source            text not null default 'device',
    status            text not null,
    failure_reason    text,
    failure_details   text,
    provider          text not null,
    operation         text not null,
    created_at        timestamptz not null,
    deadline_at       timestamptz,
    worker            integer,
    finished_at       timestamptz,
    client_address    text not null,
    device            jsonb not null default '{}',
    idempotency_key   bytea,
    source_sha256     bytea,
    source_mime       text,
    source_bytes      bigint,
    source_width      integer,
    source_height     integer,
    attempts          jsonb not null default '[]',
    upload_ms         integer,
    queue_ms          integer,
    provider_ms       integer,
    store_ms          integer,
    total_ms          integer,
    stored            boolean,
    delivered         boolean,
    constraint job_history_of_slot_version
        foreign key (slot_id, slot_version) references slot_version (slot_id, version),
    constraint job_history_source_is_known check (source in ('device', 'test')),
    constraint job_history_status_is_known check (status in ('pending', 'done', 'failed', 'timeout')),
    constraint job_history_reason_tells_why
        check ((status in ('failed', 'timeout')) = (failure_reason is not null)),
    constraint job_history_finished_when_terminal
        check ((status = 'pending') = (finished_at is null)),
    constraint job_history_pending_has_deadline check (status <> 'pending' or deadline_at is not null),
    constraint job_history_pending_has_worker check (status <> 'pending' or worker is not null),
    constraint job_history_attempts_is_array check (jsonb_typeof(attempts) = 'array')
);
comment on table job_history is 'One row per shot accepted from a known device: pending, then done, failed or timeout once.';
comment on column job_history.created_at is 'When the request arrived: its window opened then.';
comment on column job_history.deadline_at is 'When its window closes; null when it was refused before the claim.';
comment on column job_history.worker is 'The process that took it in; alive while it holds the advisory lock (1, worker).';
comment on column job_history.idempotency_key is 'SHA-256 over what makes a request the retry of another; null when it is always new.';
comment on column job_history.stored is 'False: the picture was answered but could not be kept.';
comment on column job_history.delivered is 'False: the device had gone before it had the whole picture.';

create index job_history_pending on job_history (slot_id, provider, deadline_at)
    where status = 'pending';
create index job_history_created on job_history (created_at desc, id desc);
create index job_history_slot_created on job_history (slot_id, created_at desc, id desc);
create index job_history_idempotency on job_history (slot_id, idempotency_key, created_at desc)
    where idempotency_key is not null;

create table media_object (
    id         uuid primary key default gen_random_uuid(),
    kind       text not null,
    job_id     uuid,
    path       text not null,
    mime       text not null,
    bytes      bigint not null,
    sha256     bytea not null,
    width      integer not null,
    height     integer not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz,
    cleaned_at timestamptz,
    constraint media_object_of_job foreign key (job_id) references job_history (id) on delete cascade,
    constraint media_object_kind_is_known check (kind in ('source', 'result', 'preview', 'template')),
    constraint media_object_only_templates_are_free check ((kind = 'template') = (job_id is null)),
    constraint media_object_only_templates_stay check ((kind = 'template') = (expires_at is null)),
    constraint media_object_is_not_empty check (bytes > 0 and width > 0 and height > 0)
);
comment on table media_object is 'Every file under MEDIA_ROOT that somebody may ask for; path is relative to it.';
comment on column media_object.cleaned_at is 'When the file was removed; the row stays to answer 410.';

create unique index media_object_job_kind on media_object (job_id, kind) where job_id is not null;
create unique index media_object_path on media_object (path) where cleaned_at is null;
create unique index media_object_template_sha256 on media_object (sha256)
    where kind = 'template' and cleaned_at is null;
create index media_object_expiring on media_object (expires_at)
    where cleaned_at is null and expires_at is not null;

-- Ends the jobs whose process died: it no longer holds its lifeline, the advisory lock (1, worker), or
-- their window closed a while ago. After a restart of PostgreSQL the lifelines get a moment to come
-- back, and who asks surely lives. Only jobs of the slot or the provider, or of all when both are null.
create function interrupt_dead_jobs(
    asking_worker integer, of_slot text, of_provider text,
    grace_seconds double precision, settled_seconds double precision
)
returns setof uuid
language sql
as $$
    with dead as (
        update job_history as job
        set status = 'failed', failure_reason = 'interrupted', finished_at = now()
        where
            job.status = 'pending'
            and (
                (of_slot is null and of_provider is null)
                or job.slot_id = of_slot
                or job.provider = of_provider
            )
            and (
                job.deadline_at < now() - make_interval(secs => grace_seconds)
                or (
                    job.worker <> asking_worker
                    and pg_postmaster_start_time() < now() - make_interval(secs => settled_seconds)
                    and job.worker <> all(array(
                        select lifeline.objid::integer
                        from pg_locks as lifeline
                        where
                            lifeline.locktype = 'advisory'
                            and lifeline.database = (
                                select oid from pg_database where datname = current_database()
                            )
                            and lifeline.classid = 1
                            and lifeline.objsubid = 2
                            and lifeline.granted
                    ))
                )
            )
        returning job.id
    ),

    source as (
        delete from media_object
        using dead
        where media_object.job_id = dead.id and media_object.kind = 'source'
    )

    select id
    from dead
$$;

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

create table settings (
    key        text primary key,
    value      jsonb not null,
    version    integer not null default 1,
    updated_at timestamptz not null default now(),
    updated_by text not null,
    constraint settings_version_is_positive check (version > 0)
);
comment on table settings is 'What admins may change for the whole house while it runs.';

create table login_throttle (
    subject           bytea primary key,
    failures          integer not null,
    window_started_at timestamptz not null,
    blocked_until     timestamptz,
    constraint login_throttle_failures_is_positive check (failures > 0)
);
comment on table login_throttle is 'Failed passwords by hashed subject (door, name, address), counted for every process.';
create index login_throttle_window on login_throttle (window_started_at);

create table audit_log (
    id      bigint generated always as identity primary key,
    at      timestamptz not null default now(),
    actor   text not null,
    address text not null,
    action  text not null,
    target  text not null,
    details jsonb not null default '{}'
);
comment on table audit_log is 'Append-only: sign-ins and changes, who, when and from where.';
create index audit_log_at on audit_log (at desc, id desc);

create table share (
    id         uuid primary key,
    slot_id    text,
    label      text not null default '',
    created_at timestamptz not null default now(),
    created_by text not null,
    expires_at timestamptz not null,
    revoked_at timestamptz,
    constraint share_of_slot foreign key (slot_id) references slot (id),
    constraint share_expires_later check (expires_at > created_at)
);
comment on table share is 'Gallery links an admin gave out: of one slot, or of all when slot_id is null.';
create index share_created on share (created_at desc, id desc);

insert into slot (id, name, provider, operation, settings, updated_by)
select
    'slot-' || lpad(n::text, 3, '0'),
    'Slot ' || n,
    'gemini',
    'image_edit',
    jsonb_build_object(
        'prompt',
        'Turn this photo into a warm cinematic portrait: golden evening light, soft film grain, '
        'gentle background blur. Keep every face, pose, hand and piece of clothing exactly as it is. '
        'Answer with the final image only.'
    ),
    'migration 0001'
from generate_series(1, 15) as n;

insert into slot_version (slot_id, version, snapshot, created_by)
select id, version, to_jsonb(slot) - 'ingest_password_hash', updated_by
from slot;

insert into settings (key, value, updated_by) values
    ('sync_response_seconds', '48', 'migration 0001'),
    ('provider_max_in_flight', '{"gemini": 60, "openai": 60, "turbotext": 8}', 'migration 0001');
