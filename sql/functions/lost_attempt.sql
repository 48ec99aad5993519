-- The call of a provider whose process died before it could say how it went, as an element of
-- job_history.attempts. When it began is not known: with the first call, or where the one before
-- ended.
-- of_provider, of_model: who was called; told: `interrupted`, then it may be billed, or `ok`, when
-- the picture it gave was found; earlier: the attempts before it
create or replace function lost_attempt(
    of_provider text, of_model text, told text, earlier jsonb
) returns jsonb
language sql immutable
as $$
    select jsonb_build_object(
        'provider', of_provider,
        'model', coalesce(of_model, ''),
        'outcome', told,
        'started_ms', coalesce(
            (earlier -> -1 ->> 'started_ms')::integer + (earlier -> -1 ->> 'ms')::integer, 0
        ),
        'ms', 0,
        'maybe_billed', told <> 'ok',
        'usage', '{}'::jsonb,
        'tokens', null,
        'cost_microusd', null,
        'details', 'its process ended before it could say how the call went and what it cost'
    )
$$;
