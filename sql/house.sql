-- name: house_schema
-- The newest migration this database has, by yoyo's own table: compared with what the code knows.
select migration_id
from _yoyo_migration
order by migration_id desc
limit 1;
