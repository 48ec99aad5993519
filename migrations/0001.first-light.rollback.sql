set local lock_timeout = '3s';

drop table share;
drop table audit_log;
drop table login_throttle;
drop table settings;
drop table media_object;
drop table job_history;
drop table slot_version;
drop table slot;
