-- name: pace_take
-- Hands out the next free moment for a call, at least the pace behind the one before it, and gives the
-- seconds until then. Those who ask at once queue up at the row, each with a moment of its own.
-- $1 hashed API key, $2 pace in seconds
insert into provider_turn as known (subject, free_at)
values ($1, clock_timestamp() + make_interval(secs => $2))
on conflict (subject) do update
set free_at = greatest(known.free_at, clock_timestamp()) + make_interval(secs => $2)
returning greatest(0, extract(epoch from free_at - clock_timestamp())::double precision - $2);
