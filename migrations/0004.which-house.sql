-- Which house a database is, so that no folder of another one is ever cleaned; what its cleanup did.
-- depends: 0003.provider-turns

set local lock_timeout = '3s';

create table house (
    only_one             boolean primary key default true,
    id                   uuid not null default gen_random_uuid(),
    folder_marked_at     timestamptz,
    cleanup_ended_at     timestamptz,
    cleanup_succeeded_at timestamptz,
    cleanup_seconds      double precision not null default 0,
    cleanup_failures     integer not null default 0,
    removed_files        bigint not null default 0,
    removed_bytes        bigint not null default 0,
    removed_rows         bigint not null default 0,
    constraint house_is_one check (only_one)
);
comment on table house is 'One row: which house this is, and what its cleanup did.';
comment on column house.id is 'Stands in the marker file of MEDIA_ROOT too.';
comment on column house.folder_marked_at is 'When the marker file was written; from then on a folder without it is another one.';
comment on column house.cleanup_succeeded_at is 'The end of the last cleanup that removed all there was to remove.';
comment on column house.removed_files is 'By all cleanups together, as removed_bytes and removed_rows.';

insert into house default values;

create index login_throttle_blocked on login_throttle (blocked_until)
    where blocked_until is not null;
