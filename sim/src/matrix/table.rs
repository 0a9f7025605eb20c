//! The matrix as people read it: a line for each step, way and trouble, a column for each crash.

use std::fmt;

use super::{Crash, Found, Matrix};

/// The columns before the crashes.
const HEAD: usize = 44;

/// The columns of a crash.
const COLUMN: usize = 8;

impl fmt::Display for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (failing, all) = (self.failures().count(), self.cells.len());
        let headline = match (failing, self.holding()) {
            (0, 0) => "nothing is shown, because no cell was come to".to_owned(),
            (0, holding) => format!("{holding} of {all} cells hold, no run comes to the others"),
            (failing, holding) => format!("{failing} of {all} cells fail, {holding} hold"),
        };
        writeln!(
            f,
            "saga {}, version {}: {headline}",
            self.definition, self.version
        )?;
        self.columns(f)?;
        for line in self.cells.chunks(Crash::ALL.len()) {
            let head = format!("{} {}: {}", line[0].step, line[0].way, line[0].trouble);
            let words = line.iter().map(|cell| match &cell.found {
                Found::Holds => "ok",
                Found::NotThere => "–",
                Found::Violated { invariant, .. } => invariant,
            });
            row(f, &head, words)?;
        }
        self.told(f)
    }
}

fn row<'a>(
    f: &mut fmt::Formatter<'_>,
    head: &str,
    words: impl Iterator<Item = &'a str>,
) -> fmt::Result {
    let words: String = words.map(|word| format!("{word:<COLUMN$}")).collect();
    writeln!(f, "{head:<HEAD$}{}", words.trim_end())
}

impl Matrix {
    /// Two lines: before or after, and what.
    fn columns(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for half in 0..2 {
            let names = Crash::ALL.map(|crash| crash.to_string());
            let half = names.iter().filter_map(|name| name.split(' ').nth(half));
            row(f, "", half)?;
        }
        Ok(())
    }

    /// Each cell that fails, with its plan.
    fn told(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for cell in self.failures() {
            let Found::Violated { invariant, what } = &cell.found else {
                continue;
            };
            writeln!(
                f,
                "\n{} {}: {}, {}: {invariant}: {what}",
                cell.step, cell.way, cell.trouble, cell.crash
            )?;
            for line in cell.plan.to_string().lines() {
                writeln!(f, "    {line}")?;
            }
        }
        Ok(())
    }
}
