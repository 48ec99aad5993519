-- The step of `shot_hour.latency` that a duration falls into, from 1: the first ends at 50 ms, each
-- further one is a fifth longer, the last of the 40 has no end. Immutable: what is counted stays
-- where it was counted.
-- milliseconds: the duration
create or replace function latency_step(milliseconds integer) returns integer
language sql immutable
return least(40, greatest(1, 1 + ceil(ln(greatest(milliseconds, 1) / 50.0) / ln(1.2))::integer));
