//! The tables of the views, the same in SQLite and in PostgreSQL.

use std::fmt::Write as _;

/// A table. Its name in the database ends with the number of its generation.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) columns: &'static [Column],
    /// How many of the columns, from the first, are its key.
    pub(super) key: usize,
    /// Names of further indexes, and what they are on.
    indexes: &'static [(&'static str, &'static str)],
}

#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) holds: Holds,
    /// What becomes of it when its row is there already.
    then: Then,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Holds {
    Number,
    Text,
}

#[derive(Clone, Copy, Debug)]
enum Then {
    Replaced,
    Added,
    Largest,
}

const fn number(name: &'static str) -> Column {
    Column {
        name,
        holds: Holds::Number,
        then: Then::Replaced,
    }
}

const fn text(name: &'static str) -> Column {
    Column {
        name,
        holds: Holds::Text,
        then: Then::Replaced,
    }
}

const fn added(name: &'static str) -> Column {
    Column {
        name,
        holds: Holds::Number,
        then: Then::Added,
    }
}

const fn largest(name: &'static str) -> Column {
    Column {
        name,
        holds: Holds::Number,
        then: Then::Largest,
    }
}

pub(super) const SAGA: Table = Table {
    name: "saga",
    columns: &[
        number("partition"),
        number("stream"),
        text("saga"),
        text("definition"),
        number("version"),
        text("status"),
        number("events"),
        number("started_at"),
        number("changed_at"),
        number("deadline"),
        number("next_timer"),
        number("held"),
        number("paused_since"),
        text("fault"),
    ],
    key: 2,
    indexes: &[
        ("id", "(saga)"),
        ("status", "(partition, status, stream)"),
        (
            "definition",
            "(partition, status, definition, stream, version)",
        ),
        ("started", "(partition, started_at, stream)"),
        ("held", "(partition, stream) where held > 0"),
        (
            "paused",
            "(partition, stream) where paused_since is not null",
        ),
    ],
};

pub(super) const NODE: Table = Table {
    name: "node",
    columns: &[
        number("partition"),
        number("stream"),
        number("place"),
        text("node"),
        text("contract"),
        number("done"),
        number("undone"),
        number("attempts"),
        number("undo_attempts"),
        text("trouble"),
        text("wait"),
        text("wait_of"),
        number("wait_since"),
        number("wait_until"),
        text("awaited"),
    ],
    key: 3,
    indexes: &[
        ("wait", "(partition, wait, stream) where wait is not null"),
        (
            "awaited",
            "(partition, awaited, stream) where awaited is not null",
        ),
    ],
};

pub(super) const MESSAGE: Table = Table {
    name: "message",
    columns: &[
        number("partition"),
        number("position"),
        number("at"),
        number("stream"),
        text("kind"),
        text("name"),
        text("party"),
        text("node"),
        text("direction"),
        number("attempt"),
    ],
    key: 2,
    indexes: &[
        ("saga", "(partition, stream, position)"),
        ("party", "(party, at, partition, position)"),
        ("name", "(name, at, partition, position)"),
        ("at", "(at, partition, position)"),
    ],
};

pub(super) const LETTER: Table = Table {
    name: "letter",
    columns: &[
        number("partition"),
        text("id"),
        text("phase"),
        text("cause"),
        text("reason"),
        text("queue"),
        text("sender"),
        text("saga"),
        number("size"),
        number("deaths"),
        number("first_at"),
        number("at"),
    ],
    key: 2,
    indexes: &[],
};

pub(super) const TALLY: Table = Table {
    name: "tally",
    columns: &[
        number("partition"),
        text("contract"),
        added("asked"),
        added("succeeded"),
        added("failed"),
        added("unknown"),
        added("timed_out"),
        added("answered"),
        added("micros"),
        largest("longest"),
        largest("last_at"),
    ],
    key: 2,
    indexes: &[],
};

/// All of them.
pub(super) const TABLES: [&Table; 5] = [&SAGA, &NODE, &MESSAGE, &LETTER, &TALLY];

impl Table {
    /// Its name in a generation.
    pub(super) fn of(&self, generation: i64) -> String {
        format!("{}_{generation}", self.name)
    }

    /// The names of its columns, with commas.
    pub(super) fn names(&self) -> String {
        let names: Vec<_> = self.columns.iter().map(|column| column.name).collect();
        names.join(", ")
    }

    fn key(&self) -> String {
        let names: Vec<_> = self.columns[..self.key].iter().map(|it| it.name).collect();
        names.join(", ")
    }

    /// The statements that make it; `ending` is what follows its columns.
    pub(super) fn create(&self, generation: i64, ending: &str) -> String {
        let table = self.of(generation);
        let columns = self.columns.iter().enumerate().map(|(at, column)| {
            let holds = match column.holds {
                Holds::Number => "bigint",
                Holds::Text => "text",
            };
            let never_empty = if at < self.key { " not null" } else { "" };
            format!("{} {holds}{never_empty}", column.name)
        });
        let columns: Vec<_> = columns.collect();
        let mut sql = format!(
            "create table {table} ({}, primary key ({})){ending};",
            columns.join(", "),
            self.key()
        );
        for (name, on) in self.indexes {
            write!(sql, "create index {table}_{name} on {table} {on};")
                .expect("a string takes all");
        }
        sql
    }

    /// The statement that stores `rows`, which is what stands for them in SQL.
    pub(super) fn upsert(&self, generation: i64, rows: &str) -> String {
        let table = self.of(generation);
        let changed = self.columns[self.key..].iter().map(|column| {
            let name = column.name;
            match column.then {
                Then::Replaced => format!("{name} = excluded.{name}"),
                Then::Added => format!("{name} = {table}.{name} + excluded.{name}"),
                Then::Largest => format!(
                    "{name} = case when excluded.{name} > {table}.{name} then excluded.{name} else {table}.{name} end"
                ),
            }
        });
        let changed: Vec<_> = changed.collect();
        format!(
            "insert into {table} ({}) {rows} on conflict ({}) do update set {}",
            self.names(),
            self.key(),
            changed.join(", ")
        )
    }
}
