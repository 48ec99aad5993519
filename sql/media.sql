-- name: media_preview
-- The preview made of a job's picture, if there is one.
-- $1 job id
select path, bytes, sha256
from media_object
where job_id = $1 and kind = 'preview' and cleaned_at is null;

-- name: media_add_preview
-- Remembers the preview of a picture that is still there: who deletes the picture meanwhile is waited
-- for. The second of two makers changes nothing.
-- $1 job id, $2 path, $3 bytes, $4 sha256, $5 width, $6 height, $7 expires at
insert into media_object (kind, job_id, path, mime, bytes, sha256, width, height, expires_at)
select 'preview', result.job_id, $2, 'image/webp', $3, $4, $5, $6, $7
from (
    select job_id
    from media_object
    where job_id = $1 and kind = 'result' and cleaned_at is null
    for share
) as result
on conflict do nothing;

-- name: media_lock_result
-- Keeps a picture that is still there from everybody else until the transaction ends.
-- $1 job id
select id
from media_object
where job_id = $1 and kind = 'result' and cleaned_at is null
for update;

-- name: media_forget
-- A guest takes a picture back: every file of its job goes, and what could tell the photo again.
-- $1 job id
update media_object
set cleaned_at = now(), sha256 = ''
where job_id = $1 and cleaned_at is null
returning path;

-- name: media_mark_gone
-- A file of a job was found missing: from now on it counts as removed.
-- $1 job id, $2 kind
update media_object
set cleaned_at = now()
where job_id = $1 and kind = $2 and cleaned_at is null;

-- name: media_expired
-- A batch of files whose time is over, behind the last one of the batch before; another cleaner at
-- work takes other ones.
-- $1 slot id or null, $2 when the last one's time was over or null, $3 its id, $4 at most so many
select media.id, media.path, media.bytes, media.expires_at
from media_object as media
where
    media.cleaned_at is null
    and media.expires_at <= now()
    and ($2::timestamptz is null or (media.expires_at, media.id) > ($2, $3::uuid))
    and (
        $1::text is null
        or exists (
            select
            from job_history as job
            where job.id = media.job_id and job.slot_id = $1
        )
    )
order by media.expires_at, media.id
limit $4
for update of media skip locked;

-- name: media_mark_cleaned
-- These files are removed.
-- $1 ids
update media_object
set cleaned_at = now()
where id = any($1::uuid[]);
