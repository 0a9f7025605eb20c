create table if not exists $schema.outcome (
    action_key text collate "C" not null,
    key        text collate "C" not null,
    attempt    bigint not null,
    output     text,
    class      text,
    reason     text,
    at         timestamptz not null default now(),
    primary key (action_key, key, attempt),
    check (case when attempt = 0 then output is not null and class is null and reason is null
           else output is null and class in ('permanent', 'transient') and reason is not null end)
);
create index if not exists outcome_at on $schema.outcome (at);
comment on table $schema.outcome is
    'What the steps of sagas came to, written together with their effects.';
comment on column $schema.outcome.action_key is
    'The key of the action that was done, undone or made up for.';
comment on column $schema.outcome.key is
    'The key of what was asked; of an action the same as action_key. A compensation without its action is a tombstone: the action must not happen any more.';
comment on column $schema.outcome.attempt is
    'The attempt that failed; 0 for a success, which answers every attempt.';
comment on column $schema.outcome.output is 'What a success gave, as JSON.';
comment on column $schema.outcome.class is 'Of a failure: permanent or transient.';
comment on column $schema.outcome.reason is 'Of a failure: why, for people.';
comment on column $schema.outcome.at is 'When its transaction began, by the clock of the database.';
