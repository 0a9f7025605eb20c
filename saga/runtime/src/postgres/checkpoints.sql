create table if not exists $schema.checkpoint (
    name          text collate "C" not null,
    partition     integer not null,
    position      bigint not null check (position > 0),
    chain         bytea check (length(chain) = 32),
    stream_offset bigint,
    at            timestamptz not null default now(),
    primary key (name, partition)
);
comment on table $schema.checkpoint is
    'How far followers of the published log are, written together with what they make of it.';
comment on column $schema.checkpoint.name is 'Whose checkpoint it is.';
comment on column $schema.checkpoint.partition is 'Of which partition.';
comment on column $schema.checkpoint.position is 'The last position that was handled.';
comment on column $schema.checkpoint.chain is 'The chain value of the log there.';
comment on column $schema.checkpoint.stream_offset is 'Where in the stream to begin to read.';
comment on column $schema.checkpoint.at is 'When its transaction began, by the clock of the database.';
