-- What was done to this schema: the highest version is the format of the log.
create table migration (
    version  integer primary key,
    checksum bytea   not null
);

-- One row per append batch. The columns are described in docs/log-format.md.
create table log (
    partition integer          not null,
    position  bigint           not null,
    stream    bigint           not null,
    version   bigint           not null,
    count     integer          not null,
    state     smallint         not null,
    at        bigint           not null,
    epoch     bigint           not null,
    id        bytea            not null,
    input     bytea            not null,
    digest    bytea            not null,
    chain     bytea            not null,
    name      text collate "C",
    body      text collate "C" not null,
    primary key (partition, position)
);
create unique index log_stream on log (partition, stream, version);
create unique index log_name on log (partition, name) where name is not null;

-- Who may append, and where the partition ends: an append moves the tail of the row that it matches.
-- There is room for the many versions of its few rows.
create table lease (
    partition integer primary key,
    epoch     bigint not null default 0,
    holder    text   not null default '',
    owner     text   not null default '',
    renewal   bigint not null default 0,
    tail      bigint not null default 0,
    at        bigint not null default 0,
    chain     bytea  not null default decode(repeat('00', 32), 'hex')
) with (fillfactor = 20);

-- The handles that share the partitions: one lives as long as its sign moves.
create table sharer (
    handle text primary key,
    owner  text   not null,
    sign   bigint not null default 0
) with (fillfactor = 20);

-- Open streams up to a position, so that starting reads no finished ones. Lost, it is made again.
create table recovery (
    partition integer primary key,
    position  bigint not null,
    chain     bytea  not null,
    open      bytea  not null,
    digest    bytea  not null
);

-- One row per event, for people.
create view event as
select log.partition                                          as partition,
       log.position + item.place - 1                          as position,
       first.name                                             as stream,
       log.version + item.place - 1                           as version,
       to_timestamp(log.at / 1000000.0) at time zone 'UTC'    as at,
       item.value ->> 0                                       as type,
       item.value -> 2                                        as control,
       item.value -> 3                                        as data,
       log.epoch                                              as epoch,
       encode(log.input, 'hex')                               as input
from log
     join log first on first.partition = log.partition and first.position = log.stream
     cross join lateral json_array_elements(log.body::json) with ordinality as item (value, place);
