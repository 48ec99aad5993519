-- A camera's shot that is filed as ended, because it was refused before it was claimed, is counted
-- too.
create or replace trigger job_history_ended_at_once
after insert on job_history
for each row when (new.status <> 'pending' and new.source = 'device')
execute function count_ended_shot();
