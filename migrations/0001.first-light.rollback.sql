set local lock_timeout = '3s';

drop table share;
drop table audit_log;
drop table login_throttle;
drop table settings;
drop function claim_job(
    uuid, text, integer, text, text, text, timestamptz, timestamptz, text, jsonb, bytea, bytea, text,
    bigint, integer, integer, integer, integer, integer, integer, text, text, timestamptz, integer,
    double precision, double precision
);
drop function interrupt_dead_jobs(integer, text, text, double precision, double precision);
drop table media_object;
drop table job_history;
drop table slot_version;
drop table slot;
