//! The text of a capture: one JSON value a line.

use std::fmt::{self, Write as _};

use sagalog_eventlog::NamedRow;
use sagalog_model::{Fingerprint, log::Digest};
use serde::{Deserialize, Serialize};

use super::{Capture, CapturedRow};

/// The first line.
#[derive(Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) sagalog_capture: u32,
    pub(super) by: String,
    pub(super) saga: String,
    pub(super) partition: u32,
    pub(super) definition: String,
    pub(super) version: u32,
    pub(super) fingerprint: Fingerprint,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) redacted: Vec<String>,
}

/// What is said of redacted data.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WasRedacted {
    pub(super) event: usize,
    pub(super) sha256: String,
    pub(super) bytes: usize,
}

/// The last line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct End {
    pub(super) rows: usize,
    pub(super) events: usize,
    /// Of all lines before, each with its line feed.
    pub(super) sha256: String,
}

impl Capture {
    /// All lines but the last.
    fn lines(&self) -> String {
        let parts = &self.parts;
        let head = Head {
            sagalog_capture: Self::FORMAT,
            by: parts.by.clone(),
            saga: parts.saga.to_string(),
            partition: parts.partition.get(),
            definition: parts.graph.saga.clone(),
            version: parts.graph.version.0,
            fingerprint: self.fingerprint(),
            redacted: parts.redaction.iter().map(str::to_owned).collect(),
        };
        let mut text = json(&head);
        write!(text, "\n{{\"graph\":{}}}\n", json(&*parts.graph)).expect("a string takes all");
        for owner in &parts.owners {
            writeln!(text, "{{\"owner\":{}}}", json(owner)).expect("a string takes all");
        }
        for row in &parts.rows {
            self.row(row, &mut text);
        }
        text
    }

    fn row(&self, captured: &CapturedRow, to: &mut String) {
        let row = NamedRow {
            name: self.parts.saga.stream().clone(),
            row: captured.row.clone(),
        };
        write!(
            to,
            "{{\"row\":{},\"before\":\"{}\"",
            row.to_json(),
            captured.before
        )
        .expect("a string takes all");
        if !captured.redacted.is_empty() {
            let redacted = captured.redacted.iter().map(|was| WasRedacted {
                event: was.event,
                sha256: was.digest.to_string(),
                bytes: was.bytes,
            });
            let redacted: Vec<_> = redacted.collect();
            write!(to, ",\"redacted\":{}", json(&redacted)).expect("a string takes all");
        }
        to.push_str("}\n");
    }
}

impl fmt::Display for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.lines();
        let end = End {
            rows: self.parts.rows.len(),
            events: self.events.len(),
            sha256: Digest::of(lines.as_bytes()).to_string(),
        };
        writeln!(f, "{lines}{{\"end\":{}}}", json(&end))
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("it is plain data")
}
