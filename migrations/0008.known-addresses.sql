-- From where an admin signed in before, asked for while the account is guessed at from elsewhere.
-- depends: 0007.worker-lease

set local lock_timeout = '3s';

create index audit_log_signed_in on audit_log (actor, id desc) where action = 'auth.login.success';
