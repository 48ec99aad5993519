-- A camera's shot that ends is counted once. A trigger, so that no way to end a job can forget it.
create or replace trigger job_history_ended
after update of status on job_history
for each row when (old.status = 'pending' and new.status <> 'pending' and new.source = 'device')
execute function count_ended_shot();
