//! What is wrong in a file, with where.

use std::ops::Range;

use super::mask::masked;
use crate::error::{CliError, Exit};

/// One thing that is wrong.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    /// Where in the text, in bytes; nowhere if it is about all of it.
    at: Option<Range<usize>>,
    what: String,
}

/// Everything that is wrong in one text.
pub(super) struct Findings<'a> {
    name: &'a str,
    text: &'a str,
    all: Vec<Finding>,
}

impl<'a> Findings<'a> {
    pub(super) const fn in_text(name: &'a str, text: &'a str) -> Self {
        Self {
            name,
            text,
            all: Vec::new(),
        }
    }

    /// Of what is wrong at one place only the first is said: the rest follows from it.
    pub(super) fn add(&mut self, at: Option<Range<usize>>, what: impl Into<String>) {
        let start = |at: &Option<Range<usize>>| at.as_ref().map(|at| at.start);
        if !self.all.iter().any(|known| start(&known.at) == start(&at)) {
            let what = what.into();
            self.all.push(Finding { at, what });
        }
    }

    /// # Errors
    /// If anything was found, with all of it in the order of the text.
    pub(super) fn none(mut self) -> Result<(), CliError> {
        if self.all.is_empty() {
            return Ok(());
        }
        self.all
            .sort_by_key(|finding| finding.at.as_ref().map(|at| at.start));
        let told: Vec<_> = self.all.iter().map(|finding| self.told(finding)).collect();
        let message = format!("{} cannot be used\n  {}", self.name, told.join("\n  "));
        Err(CliError::new("bad_config", Exit::Usage, message)
            .fix("`sagalog config keys` lists what there is"))
    }

    /// `file:line:column: what`, and the line below it.
    fn told(&self, finding: &Finding) -> String {
        let Some(at) = &finding.at else {
            return format!("{}: {}", self.name, finding.what);
        };
        let (line, column) = place(self.text, at.start);
        let shown = self.text.lines().nth(line - 1).unwrap_or_default();
        let head = format!("{}:{line}:{column}: {}", self.name, finding.what);
        format!("{head}\n    {line} | {}", masked(shown.trim_end()))
    }
}

/// The line and the column of a byte, both from 1; a column is a character.
pub(super) fn place(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let begin = before.rfind('\n').map_or(0, |end| end + 1);
    (line, before[begin..].chars().count() + 1)
}
