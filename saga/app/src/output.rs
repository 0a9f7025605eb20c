//! Where a command's answer goes: data to stdout, talk to stderr.

use std::{
    fmt, fs,
    io::{self, IsTerminal, Write},
    path::Path,
};

use clap::ValueEnum;
use comfy_table::{Table, presets::NOTHING};
use serde::Serialize;

use crate::error::{CliError, Exit};

/// The form of an answer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum Format {
    /// Text for people; it may change.
    #[default]
    Table,
    /// JSON with documented fields; they stay.
    Json,
}

/// How a command answers. Cheap to copy.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    format: Format,
    /// Columns of the terminal that stdout is; none if it is a file or a pipe.
    width: Option<usize>,
    colour: bool,
}

/// How a piece of text looks on a terminal that shows colours.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Style {
    /// As everything.
    Plain,
    /// What stands out.
    Bold,
    /// What has not come, or matters less.
    Dim,
    /// What went well.
    Good,
    /// What did not.
    Bad,
    /// What wants a look.
    Warn,
}

impl Output {
    /// Answers in this form, as the process's stdout allows.
    pub fn to_stdout(format: Format) -> Self {
        let terminal = io::stdout().is_terminal();
        let width = console::Term::stdout()
            .size_checked()
            .map(|(_, columns)| usize::from(columns));
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            format,
            width: if terminal { width } else { None },
            colour: terminal && !no_colour && !dumb && format == Format::Table,
        }
    }

    /// Whether JSON is wanted.
    pub fn is_json(self) -> bool {
        self.format == Format::Json
    }

    /// Columns of the terminal; none if stdout is not one, and then nothing is cut.
    pub const fn width(self) -> Option<usize> {
        self.width
    }

    /// Writes one JSON document and ends the line.
    ///
    /// # Errors
    /// If stdout takes no more.
    pub fn json(self, value: &impl Serialize) -> Result<(), CliError> {
        let mut text = serde_json::to_string(value).map_err(io::Error::from)?;
        text.push('\n');
        self.print(text)
    }

    /// Writes text as it is.
    ///
    /// # Errors
    /// If stdout takes no more.
    pub fn print(self, text: impl fmt::Display) -> Result<(), CliError> {
        let mut out = io::stdout().lock();
        write!(out, "{text}")?;
        Ok(out.flush()?)
    }

    /// Writes a line.
    ///
    /// # Errors
    /// If stdout takes no more.
    pub fn line(self, text: impl fmt::Display) -> Result<(), CliError> {
        self.print(format_args!("{text}\n"))
    }

    /// Writes a file beside the answer.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(self, file: &Path, text: impl AsRef<[u8]>) -> Result<(), CliError> {
        fs::write(file, text).map_err(|error| {
            let message = format!("{} is not written: {error}", file.display());
            CliError::new("io", Exit::Failed, message)
        })
    }

    /// Says something to whoever watches; never data.
    pub fn say(self, text: impl fmt::Display) {
        // Nobody to talk to is no reason to stop.
        let _ = writeln!(io::stderr(), "{text}");
    }

    /// Text in a style, if stdout shows colours.
    pub fn styled(self, style: Style, text: impl fmt::Display) -> String {
        let code = match style {
            _ if !self.colour => return text.to_string(),
            Style::Plain => return text.to_string(),
            Style::Bold => 1,
            Style::Dim => 2,
            Style::Good => 32,
            Style::Bad => 31,
            Style::Warn => 33,
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    /// Text cut to what is left of a terminal's line after `used` columns; whole anywhere else.
    pub fn cut(self, text: &str, used: usize) -> String {
        match self.width {
            Some(width) => cut(text, width.saturating_sub(used).max(12)),
            None => text.to_owned(),
        }
    }
}

/// A table without lines, whose columns are two spaces apart.
pub(crate) fn columns<const N: usize>(head: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(head);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

fn cut(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(columns - 1).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_terminal_cuts() {
        let file = Output {
            format: Format::Table,
            width: None,
            colour: false,
        };
        let terminal = Output {
            width: Some(20),
            ..file
        };
        let text = "a text of thirty characters...";
        assert_eq!(file.cut(text, 4), text);
        assert_eq!(terminal.cut(text, 4), "a text of thirt…");
        assert_eq!(terminal.cut("short", 4), "short");
    }

    #[test]
    fn only_a_terminal_has_colours() {
        let file = Output {
            format: Format::Table,
            width: None,
            colour: false,
        };
        assert_eq!(file.styled(Style::Bad, "no"), "no");
        assert_eq!(
            Output {
                colour: true,
                ..file
            }
            .styled(Style::Bad, "no"),
            "\u{1b}[31mno\u{1b}[0m"
        );
    }
}
