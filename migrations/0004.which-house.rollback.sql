set local lock_timeout = '3s';

drop index login_throttle_blocked;
drop table house;
