set local lock_timeout = '3s';

drop table provider_turn;
