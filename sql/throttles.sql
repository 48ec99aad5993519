-- name: throttle_count
-- Counts one try against a subject that is not shut out and gives how many it has inside the window;
-- at the limit it is shut out for a while. No row when it already is.
-- $1 hashed subject, $2 tries allowed, $3 window in seconds, $4 shut out for seconds
insert into login_throttle as known (subject, failures, window_started_at)
values ($1, 1, now())
on conflict (subject) do update set
    failures = case
        when known.window_started_at < now() - make_interval(secs => $3) then 1
        else known.failures + 1
    end,
    window_started_at = case
        when known.window_started_at < now() - make_interval(secs => $3) then now()
        else known.window_started_at
    end,
    blocked_until = case
        when known.window_started_at >= now() - make_interval(secs => $3)
            and known.failures + 1 >= $2::integer
            then now() + make_interval(secs => $4)
    end
where known.blocked_until is null or known.blocked_until <= now()
returning failures;

-- name: throttle_blocked_seconds
-- For how many more seconds any of the subjects is shut out; null when none is.
-- $1 hashed subjects
select ceil(extract(epoch from max(blocked_until) - now()))::integer
from login_throttle
where subject = any($1::bytea[]) and blocked_until > now();

-- name: throttle_forgive
-- Forgets what was counted against a subject: it knew the password in the end.
-- $1 hashed subject
delete from login_throttle
where subject = $1;

-- name: throttle_take_back
-- Takes back one try of a subject that turned out to know the password: what is left is below the
-- limit again.
-- $1 hashed subject
merge into login_throttle as known
using (values ($1::bytea)) as given (subject)
on known.subject = given.subject
when matched and known.failures <= 1 then delete
when matched then update set failures = known.failures - 1, blocked_until = null;
