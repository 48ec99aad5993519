-- name: gallery_page
-- The newest pictures of one slot or of every slot that still are there: one statement for all.
-- $1 slot id or null, $2 pictures per slot, $3 no older than so many hours
select
    slot.id as slot_id,
    slot.name as slot_name,
    shot.job_id,
    shot.finished_at,
    shot.path,
    shot.mime,
    shot.width,
    shot.height,
    shot.expires_at
from slot
left join lateral (
    select
        job.id as job_id,
        job.finished_at,
        result.path,
        result.mime,
        result.width,
        result.height,
        result.expires_at
    from job_history as job
    inner join media_object as result
        on result.job_id = job.id and result.kind = 'result'
    where
        job.slot_id = slot.id
        and job.status = 'done'
        and job.source = 'device'
        and job.stored
        and job.finished_at > now() - make_interval(hours => $3)
        and result.cleaned_at is null
        and result.expires_at > now()
    order by job.finished_at desc
    limit $2
) as shot on true
where $1::text is null or slot.id = $1
order by slot.id, shot.finished_at desc;
