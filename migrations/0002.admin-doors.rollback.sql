set local lock_timeout = '3s';

drop index media_object_templates;
drop index media_object_live;
drop index media_object_results;
drop index job_history_slot_failed;
drop index job_history_gallery;
drop index job_history_test;
drop index job_history_slot_status;
drop index job_history_status;
drop index job_history_slot_reason;
drop index job_history_reasons;
drop index job_history_reason;
drop index job_history_statistics;
drop trigger job_history_ended on job_history;
drop trigger job_history_ended_at_once on job_history;
drop function count_ended_shot();
drop function latency_step(integer);
drop table shot_hour;
alter table job_history
    drop constraint job_history_cost_is_natural,
    drop constraint job_history_attempt_count_is_natural,
    drop column cost_microusd,
    drop column tokens,
    drop column attempt_count;
drop table ended_session;
