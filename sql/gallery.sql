-- name: gallery_page
-- The newest pictures of one slot or of every slot that still are there: one statement for all.
-- A slot's jobs are walked through no further than to the oldest picture of all slots that is there;
-- the limit of one keeps the planner to that way.
-- $1 slot id or null, $2 pictures per slot
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
    cross join lateral (
        select media.path, media.mime, media.width, media.height, media.expires_at
        from media_object as media
        where
            media.job_id = job.id
            and media.kind = 'result'
            and media.cleaned_at is null
            and media.expires_at > now()
        limit 1
    ) as result
    where
        job.slot_id = slot.id
        and job.status = 'done'
        and job.source = 'device'
        and job.stored
        and job.finished_at >= (
            select oldest.created_at
            from media_object as oldest
            where
                oldest.kind = 'result'
                and oldest.cleaned_at is null
                and oldest.expires_at > now()
            order by oldest.created_at
            limit 1
        )
    order by job.finished_at desc
    limit $2
) as shot on true
where $1::text is null or slot.id = $1
order by slot.id, shot.finished_at desc;
