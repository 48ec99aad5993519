set local lock_timeout = '3s';

drop index audit_log_signed_in;
