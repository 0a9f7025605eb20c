create table if not exists $schema.request (
    number  bigint generated always as identity primary key,
    kind    text not null check (kind in ('start', 'signal')),
    saga    text collate "C" not null,
    name    text not null,
    id      text,
    payload json not null,
    refused text,
    at      timestamptz not null default now(),
    check ((kind = 'signal') = (id is not null))
);
create index if not exists request_waits on $schema.request (number) where refused is null;
create index if not exists request_of_saga on $schema.request (saga, number) where refused is null;
comment on table $schema.request is
    'Starts and signals of sagas that wait to be picked up; a row goes when the log has it.';
comment on column $schema.request.number is
    'Requests of one saga are picked up in this order, among those that are committed.';
comment on column $schema.request.kind is 'start or signal.';
comment on column $schema.request.saga is 'The id of the saga that is started or gets the signal.';
comment on column $schema.request.name is
    'Of a start the name of the saga''s definition, of a signal the signal''s.';
comment on column $schema.request.id is 'Of a signal its id: the same id again is the same signal.';
comment on column $schema.request.payload is 'The input or the signal''s payload; {"a":1} stays as it is written.';
comment on column $schema.request.refused is
    'Why it cannot be done; null while it waits. Setting it to null tries again, deleting the row gives up.';
comment on column $schema.request.at is 'When its transaction began, by the clock of the database.';
