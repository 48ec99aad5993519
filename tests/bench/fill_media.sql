-- The pictures of all done jobs, one of ten with a preview: kept for 72 hours, then cleaned.
insert into media_object (
    kind, job_id, path, mime, bytes, sha256, width, height, created_at, expires_at, cleaned_at
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
    job.finished_at + interval '72 hours',
    case
        when job.finished_at < now() - interval '72 hours' then job.finished_at + interval '73 hours'
    end
from job_history as job
cross join (
    values
        ('result', 'results', '.jpg', 'image/jpeg', 900000),
        ('preview', 'previews', '.webp', 'image/webp', 30000)
) as file (kind, folder, extension, mime, bytes)
where job.stored and (file.kind = 'result' or hashtext(job.id::text) & 1023 < 102);
