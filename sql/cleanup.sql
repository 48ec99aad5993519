-- name: cleanup_lock
-- Whether this session may clean up; held until it ends, however it ends.
select pg_try_advisory_lock(6, 0);

-- name: cleanup_must_wait
-- Whether shots are being taken, which go first. The newest is asked for, not whether one is newer
-- than $1: a plan for any $1 would believe in many and read the whole table in vain.
-- $1 seconds since the last one
select coalesce(max(created_at) > now() - make_interval(secs => $1), false)
from job_history;

-- name: cleanup_unknown
-- Those of the files that no row names: nobody will ask for them.
-- $1 paths
select path
from unnest($1::text[]) as found (path)
where
    not exists (
        select
        from media_object
        where media_object.path = found.path and media_object.cleaned_at is null
    );

-- name: cleanup_jobs
-- Removes a batch of the oldest jobs once nobody needs them, with what is known of their files. Hours
-- have been counted when the jobs ended and stay. An array of ids, here and below: a plan for any
-- number of them would join with the whole table.
-- $1 days to keep, $2 at most so many
with due as (
    select job.id
    from job_history as job
    where
        job.created_at < now() - make_interval(days => $1)
        and job.status <> 'pending'
        and not exists (
            select
            from media_object as media
            where media.job_id = job.id and media.cleaned_at is null
        )
    order by job.created_at
    limit $2
    for update skip locked
)

delete from job_history
where id = any(array(select id from due));

-- name: cleanup_audit
-- Removes a batch of the oldest entries of the audit.
-- $1 days to keep, $2 at most so many
with due as (
    select id
    from audit_log
    where at < now() - make_interval(days => $1)
    order by at
    limit $2
    for update skip locked
)

delete from audit_log
where id = any(array(select id from due));

-- name: cleanup_shares
-- Removes a batch of gallery links whose time is over.
-- $1 at most so many
with due as (
    select id
    from share
    where expires_at <= now()
    order by expires_at
    limit $1
    for update skip locked
)

delete from share
where id = any(array(select id from due));

-- name: cleanup_sessions
-- Forgets a batch of ended sessions that would have expired by now anyway.
-- $1 at most so many
with due as (
    select jti
    from ended_session
    where expires_at <= now()
    order by expires_at
    limit $1
    for update skip locked
)

delete from ended_session
where jti = any(array(select jti from due));

-- name: cleanup_throttles
-- Forgets a batch of failed passwords that count no more.
-- $1 the longest window in seconds, $2 at most so many
with due as (
    select subject
    from login_throttle
    where
        window_started_at < now() - make_interval(secs => $1)
        and (blocked_until is null or blocked_until <= now())
    order by window_started_at
    limit $2
    for update skip locked
)

delete from login_throttle
where subject = any(array(select subject from due));

-- name: cleanup_turns
-- Forgets a batch of API keys whose turns are long over.
-- $1 seconds since, $2 at most so many
with due as (
    select subject
    from provider_turn
    where free_at < now() - make_interval(secs => $1)
    limit $2
    for update skip locked
)

delete from provider_turn
where subject = any(array(select subject from due));

-- name: cleanup_leases
-- Forgets a batch of processes that died long ago.
-- $1 seconds since, $2 at most so many
with due as (
    select worker
    from worker_lease
    where ends_at < now() - make_interval(secs => $1)
    limit $2
    for update skip locked
)

delete from worker_lease
where worker = any(array(select worker from due));

-- name: cleanup_due
-- What there is to clean now, without doing it. Jobs to end: see functions/dead_jobs.sql.
-- $1 days to keep jobs and audit, $2 the longest window of failed passwords in seconds, $3 seconds
-- since a turn, $4 grace in seconds after a job's window, $5 how old in seconds the session must be
-- that proves who is dead, $6 seconds since a lease
select
    files.files,
    files.bytes,
    (
        (
            select count(*)
            from job_history as job
            where
                job.created_at < now() - make_interval(days => $1)
                and job.status <> 'pending'
                and not exists (
                    select
                    from media_object as media
                    where media.job_id = job.id and media.cleaned_at is null
                )
        )
        + (select count(*) from audit_log where at < now() - make_interval(days => $1))
        + (select count(*) from share where expires_at <= now())
        + (select count(*) from ended_session where expires_at <= now())
        + (
            select count(*)
            from login_throttle
            where
                window_started_at < now() - make_interval(secs => $2)
                and (blocked_until is null or blocked_until <= now())
        )
        + (select count(*) from provider_turn where free_at < now() - make_interval(secs => $3))
        + (select count(*) from worker_lease where ends_at < now() - make_interval(secs => $6))
    ) as rows,
    (select count(*) from dead_jobs(0, null, null, $4, $5)) as interrupted
from (
    select count(*) as files, coalesce(sum(bytes), 0)::bigint as bytes
    from media_object
    where cleaned_at is null and expires_at <= now()
) as files;
