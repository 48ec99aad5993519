-- name: throttle_failure
-- Counts one failed password; at the limit inside the window the subject is shut out for a while.
-- $1 hashed subject, $2 failures allowed, $3 window in seconds, $4 shut out for seconds
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
    end;
