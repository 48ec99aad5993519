-- name: breaker_fail
-- Counts a failed call of a provider's model and opens its breaker after so many in a row. A call that
-- began before the last answer is no news.
-- $1 provider, $2 model, $3 reason, $4 details for admins, $5 seconds the call took,
-- $6 failures in a row that open it, $7 seconds until a probe
insert into breaker as known (provider, model, failures, reason, details, failed_at)
values ($1, $2, 1, $3, $4, now())
on conflict (provider, model) do update
set
    failures = known.failures + 1,
    reason = excluded.reason,
    details = excluded.details,
    failed_at = excluded.failed_at,
    opened_at = case when known.failures + 1 >= $6 then coalesce(known.opened_at, now()) end,
    probe_at = case when known.failures + 1 >= $6 then now() + make_interval(secs => $7) end
where
    known.succeeded_at is null
    or now() - make_interval(secs => $5) > known.succeeded_at;

-- name: breaker_mend
-- The model has answered, if not with a picture: its failures in a row are over, see
-- functions/mend_breaker.sql.
-- $1 provider, $2 model
select mend_breaker($1, $2) as nothing;

-- name: breaker_forget
-- Gives providers another chance at once, because an admin has changed their keys.
-- $1 providers
update breaker
set failures = 0, opened_at = null, probe_at = null
where provider = any($1::text[]);

-- name: breaker_all
-- How every model that was ever called went lately.
select provider, model, failures, reason, details, failed_at, succeeded_at, opened_at, probe_at
from breaker
order by provider, model;
