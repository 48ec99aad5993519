-- What paces the calls of a provider that limits them, over all processes.
-- depends: 0002.admin-doors

set local lock_timeout = '3s';

create table provider_turn (
    subject bytea primary key,
    free_at timestamptz not null
);
comment on table provider_turn is 'By hashed API key: when the next call may go out.';
