//! Who owns a partition, in words for people.

use std::{fmt, process};

use sagalog_model::log::Time;

/// Who asks for a partition.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Owner {
    /// The program, in words that tell its user which one it is.
    pub program: String,
    /// Its process id.
    pub pid: u32,
    /// Since when.
    pub since: Time,
}

impl Owner {
    /// The process that runs this code.
    pub fn this_process(program: impl Into<String>, now: Time) -> Self {
        Self {
            program: program.into(),
            pid: process::id(),
            since: now,
        }
    }

    /// As it is written beside the log.
    pub(crate) fn to_text(&self) -> String {
        // A line each, so that it can be read back.
        let program = self.program.replace(['\n', '\r'], " ");
        format!(
            "pid {}\nsince {}\nprogram {program}\n",
            self.pid,
            self.since.as_micros()
        )
    }

    fn from_text(text: &str) -> Option<Self> {
        let field = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
        };
        Some(Self {
            program: field("program")?.to_owned(),
            pid: field("pid")?.parse().ok()?,
            since: Time::from_micros(field("since")?.parse().ok()?),
        })
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} (process {}, since {})",
            self.program,
            self.pid,
            Utc(self.since)
        )
    }
}

/// Who has a partition, as far as that is known.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Holder {
    /// It says who it is.
    Known(Owner),
    /// It holds the partition and left no name.
    Unknown,
}

impl Holder {
    /// Reads what a holder wrote beside the log.
    pub(crate) fn from_text(text: &str) -> Self {
        Owner::from_text(text).map_or(Self::Unknown, Self::Known)
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(owner) => owner.fmt(f),
            Self::Unknown => f.write_str("another process that left no name"),
        }
    }
}

/// A moment as `2026-11-20T20:07:30Z`.
struct Utc(Time);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_micros() / 1_000_000;
        let (days, second) = (seconds / 86_400, seconds % 86_400);
        // Days to a civil date, counted in eras of 400 years that begin on 1 March.
        let shifted = days + 719_468;
        let (era, day) = (shifted / 146_097, shifted % 146_097);
        let year_of_era = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 {
            month_from_march + 3
        } else {
            month_from_march - 9
        };
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day_of_month:02}T{hour:02}:{minute:02}:{second:02}Z"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_is_read_back_as_it_was_written() {
        let owner = Owner {
            program: "sagalog serve".into(),
            pid: 7,
            since: Time::from_micros(1_795_205_250_000_000),
        };
        assert_eq!(
            Holder::from_text(&owner.to_text()),
            Holder::Known(owner.clone())
        );
        insta::assert_snapshot!(Holder::Known(owner), @"sagalog serve (process 7, since 2026-11-20T20:07:30Z)");
        assert_eq!(Holder::from_text("half writ"), Holder::Unknown);
    }
}
