begin immediate;

-- One row per append batch. The columns are described in docs/log-format.md.
create table log (
    position integer primary key,
    stream   integer not null,
    version  integer not null,
    count    integer not null,
    state    integer not null,
    at       integer not null,
    epoch    integer not null,
    id       blob    not null,
    input    blob    not null,
    digest   blob    not null,
    chain    blob    not null,
    name     text,
    body     text    not null
) strict;
create unique index log_stream on log (stream, version);
create unique index log_name on log (name) where name is not null;

-- Who may append: an append carries the epoch that is here.
create table ownership (
    partition integer primary key,
    epoch     integer not null,
    owner     text    not null
) strict;
insert into ownership (partition, epoch, owner) values (0, 0, '');

-- Open streams up to a position, so that starting reads no finished ones. Lost, it is made again.
create table recovery (
    partition integer primary key,
    position  integer not null,
    chain     blob    not null,
    open      blob    not null,
    digest    blob    not null
) strict;

-- The numbers from 0 that an append of many rows is cut along.
create table number (n integer primary key) strict;
insert into number (n)
    with recursive counted (n) as (select 0 union all select n + 1 from counted where n + 1 < 1024)
    select n from counted;

-- One row per event, for people.
create view event as
select log.position + item.key                                            as position,
       (select first.name from log first where first.position = log.stream) as stream,
       log.version + item.key                                             as version,
       strftime('%Y-%m-%dT%H:%M:%fZ', log.at / 1000000.0, 'unixepoch')     as at,
       item.value ->> 0                                                   as type,
       item.value -> 2                                                    as control,
       item.value -> 3                                                    as data,
       log.epoch                                                          as epoch,
       hex(log.input)                                                     as input
from log, json_each(log.body) item;

pragma application_id = 0x5361676c;
pragma user_version = 1;

commit;
