-- Whether two versions of a slot order the same: from whom, what, how, with which templates, of a
-- photo of which size. Its name, its limits and whether it is open are not part of an order.
-- of_slot: the slot; one_version, other_version: the two
create or replace function same_order(
    of_slot text, one_version integer, other_version integer
) returns boolean
language sql stable
as $$
    select count(distinct jsonb_build_array(
        snapshot -> 'provider', snapshot -> 'operation', snapshot -> 'settings',
        snapshot -> 'templates', snapshot -> 'fallback', snapshot -> 'output',
        snapshot -> 'max_side_px'
    )) = 1
    from slot_version
    where slot_id = of_slot and version in (one_version, other_version)
$$;
