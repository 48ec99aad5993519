-- name: installation_migrations
-- The migrations this database has, by yoyo's own table: compared with what the code comes with.
select migration_id
from _yoyo_migration;

-- name: installation_clock
-- What time it is for the database.
select clock_timestamp();

-- name: installation_status
-- How the installation stands at this moment, for those who watch it: its cleanup, shots whose process seems
-- to have died, who is shut out, since when a file whose time is over waits for its removal.
-- $1 grace in seconds after a window
select
    house.cleanup_ended_at,
    house.cleanup_succeeded_at,
    house.cleanup_seconds,
    house.cleanup_failures,
    house.removed_files,
    house.removed_bytes,
    house.removed_rows,
    (
        select count(*)
        from job_history
        where status = 'pending' and deadline_at < now() - make_interval(secs => $1)
    ) as overdue_shots,
    (
        select count(*)
        from login_throttle
        where blocked_until > now()
    ) as shut_out,
    (
        select min(expires_at)
        from media_object
        where cleaned_at is null and expires_at is not null
    ) as first_expiry
from house;

-- name: installation_is_empty
-- Whether this database has no tables yet, so that a backup may be brought into it.
select not exists (
    select
    from pg_class
    where relnamespace = 'public'::regnamespace
);

-- name: installation_folder
-- Which installation this is, and since when its media folder bears its mark.
select id, folder_marked_at
from house;

-- name: installation_mark_folder
-- The media folder bears the mark of this installation from now on.
update house
set folder_marked_at = coalesce(folder_marked_at, now());

-- name: installation_unmark_folder
-- The installation was brought into a new folder: whichever it starts in next bears its mark.
update house
set folder_marked_at = null;

-- name: installation_record_cleanup
-- Remembers how a cleanup went.
-- $1 seconds it took, $2 what it could not remove, $3 files, $4 their bytes, $5 rows it removed
update house
set
    cleanup_ended_at = now(),
    cleanup_succeeded_at = case when $2 = 0 then now() else cleanup_succeeded_at end,
    cleanup_seconds = $1,
    cleanup_failures = $2,
    removed_files = removed_files + $3,
    removed_bytes = removed_bytes + $4,
    removed_rows = removed_rows + $5;
