create table if not exists $schema.request (
    number  bigint generated always as identity primary key,
    kind    text not null check (kind in ('start', 'signal')),
    saga    text collate "C" not null,
    name    text not null,
    id      text,
    payload json not null,
    refused text,
    at      timestamptz not null default now()
);
create index if not exists request_waits on $schema.request (number) where refused is null;
create index if not exists request_of_saga on $schema.request (saga, number) where refused is null;
-- Of the release before: a signal had an id, and nothing else.
alter table $schema.request drop constraint if exists request_check;
alter table $schema.request
    add column if not exists producer text collate "C" check (producer <> ''),
    add column if not exists producer_number bigint check (producer_number between 1 and 9007199254740991),
    add column if not exists until bigint check (until >= 0);
alter table $schema.request drop constraint if exists request_is_named;
alter table $schema.request add constraint request_is_named check (
    (producer is null) = (producer_number is null)
    and num_nonnulls(id, producer) = case kind when 'signal' then 1 else 0 end
    and (until is null or id is not null));
create index if not exists request_in_order on $schema.request (saga, producer, producer_number)
    where refused is null and producer is not null;
comment on table $schema.request is
    'Starts and signals of sagas that wait to be picked up; a row goes when the log has it.';
comment on column $schema.request.number is
    'Starts, and signals that nobody numbers, of one saga are picked up in this order, among those that are committed.';
comment on column $schema.request.kind is 'start or signal.';
comment on column $schema.request.saga is 'The id of the saga that is started or gets the signal.';
comment on column $schema.request.name is
    'Of a start the name of the saga''s definition, of a signal the signal''s.';
comment on column $schema.request.id is
    'Of a signal its id: the same id again is the same signal. None if its producer numbers it.';
comment on column $schema.request.producer is
    'Of a signal that is numbered: by whom. Those of one producer for one saga are picked up in the order of producer_number, behind what came before that nobody numbers.';
comment on column $schema.request.producer_number is
    'Its number among those of its producer for this saga, from 1: the same number again is the same signal.';
comment on column $schema.request.until is
    'Until when a signal may come again under its id, in microseconds since 1970; null if always.';
comment on column $schema.request.payload is 'The input or the signal''s payload; {"a":1} stays as it is written.';
comment on column $schema.request.refused is
    'Why it cannot be done; null while it waits. Setting it to null tries again, deleting the row gives up.';
comment on column $schema.request.at is 'When its transaction began, by the clock of the database.';
