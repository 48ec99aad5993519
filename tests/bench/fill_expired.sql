-- The pictures of all done jobs, one of four with a preview, as after a cron that never ran: their time
-- is over and nothing was cleaned.
insert into media_object (
    kind, job_id, path, mime, bytes, sha256, width, height, created_at, expires_at
)
select
    file.kind,
    job.id,
    file.folder || '/' || left(job.id::text, 2) || '/' || job.id || file.extension,
    file.mime,
    file.bytes,
    sha256(job.id::text::bytea),
    2048,
    1365,
    job.finished_at,
    least(job.finished_at + interval '72 hours', now() - interval '1 minute')
from job_history as job
cross join (
    values
        ('result', 'results', '.jpg', 'image/jpeg', 900000),
        ('preview', 'previews', '.webp', 'image/webp', 30000)
) as file (kind, folder, extension, mime, bytes)
where job.stored and (file.kind = 'result' or hashtext(job.id::text) & 1023 < 256);
