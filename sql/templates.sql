-- name: template_lock
-- Saving a slot and removing a template stand in line until this transaction ends, so that none is
-- removed while it is put to use.
select pg_advisory_xact_lock(5, 0);

-- name: template_add
-- Remembers a template image; the same bytes are kept once.
-- $1 id, $2 path, $3 mime, $4 bytes, $5 sha256, $6 width, $7 height
insert into media_object (id, kind, path, mime, bytes, sha256, width, height)
values ($1, 'template', $2, $3, $4, $5, $6, $7)
on conflict (sha256) where kind = 'template' and cleaned_at is null do nothing;

-- name: template_by_digest
-- The template with these bytes.
-- $1 sha256
select id, path, mime, bytes, width, height, created_at
from media_object
where kind = 'template' and cleaned_at is null and sha256 = $1;

-- name: template_by_ids
-- Those of the templates that exist.
-- $1 ids
select id, path, mime, bytes, width, height, created_at
from media_object
where kind = 'template' and cleaned_at is null and id = any($1::uuid[]);

-- name: template_all
-- Every template with the slots that use it now and the number of kept versions that name it.
select
    media.id,
    media.path,
    media.mime,
    media.bytes,
    media.width,
    media.height,
    media.created_at,
    array(
        select slot.id
        from slot
        where
            slot.templates @> jsonb_build_array(jsonb_build_object('media_id', media.id))
            or slot.fallback -> 'templates'
            @> jsonb_build_array(jsonb_build_object('media_id', media.id))
        order by slot.id
    ) as used_by,
    (
        select count(*)
        from slot_version
        where
            snapshot -> 'templates' @> jsonb_build_array(jsonb_build_object('media_id', media.id))
            or snapshot -> 'fallback' -> 'templates'
            @> jsonb_build_array(jsonb_build_object('media_id', media.id))
    ) as kept_versions
from media_object as media
where media.kind = 'template' and media.cleaned_at is null
order by media.created_at desc, media.id desc;

-- name: template_remove
-- Forgets a template that no slot and no kept version uses; gives its path.
-- $1 id
update media_object as media
set cleaned_at = now()
where
    media.id = $1
    and media.kind = 'template'
    and media.cleaned_at is null
    and not exists (
        select
        from slot_version
        where
            snapshot -> 'templates' @> jsonb_build_array(jsonb_build_object('media_id', media.id))
            or snapshot -> 'fallback' -> 'templates'
            @> jsonb_build_array(jsonb_build_object('media_id', media.id))
    )
returning media.path;
