//! Reading the text of a capture.

use std::{str::FromStr, sync::Arc};

use sagalog_eventlog::NamedRow;
use sagalog_model::{
    Fingerprint, Graph, SagaId,
    graph::DefinitionVersion,
    log::{Digest, PartitionId, Version},
};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    BadCapture, Capture, CapturedRow, Owner, Parts, Redacted, Redaction, named,
    write::{End, Head, WasRedacted},
};

/// What every head says, in any format.
#[derive(Deserialize)]
struct Mark {
    sagalog_capture: u32,
    #[serde(default)]
    by: String,
}

/// A line behind the head: one of these.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    graph: Option<Graph>,
    owner: Option<Owner>,
    #[serde(borrow)]
    row: Option<&'a RawValue>,
    before: Option<&'a str>,
    #[serde(default)]
    redacted: Vec<WasRedacted>,
    end: Option<End>,
}

impl FromStr for Capture {
    type Err = BadCapture;

    fn from_str(text: &str) -> Result<Self, BadCapture> {
        let bytes = text.len() as u64;
        if bytes > Self::BYTES_MAX {
            return Err(BadCapture::TooLong { bytes });
        }
        let mut lines = text.split_inclusive('\n');
        let head = head(lines.next().unwrap_or_default())?;
        let mut reading = Reading::default();
        let mut read = text.find('\n').map_or(text.len(), |end| end + 1);
        for (at, line) in lines.enumerate() {
            let line = line_of(at + 2, line)?;
            if let Some(end) = line.1 {
                let rest = &text[read + line.2..];
                return reading.end(head, &text[..read], end, at + 1, rest);
            }
            reading.take(at + 2, line.0)?;
            read += line.2;
        }
        Err(BadCapture::CutOff {
            line: text.lines().count(),
        })
    }
}

/// A line without what may be the end, the end, and its length.
type Taken<'a> = (Line<'a>, Option<End>, usize);

fn line_of(number: usize, line: &str) -> Result<Taken<'_>, BadCapture> {
    let read = serde_json::from_str::<Line<'_>>(line);
    let mut read = read.map_err(|error| match line.ends_with('\n') {
        true => BadCapture::Line {
            line: number,
            why: error.to_string(),
        },
        // The last line lost its end.
        false => BadCapture::CutOff { line: number - 1 },
    })?;
    let end = read.end.take();
    Ok((read, end, line.len()))
}

fn head(line: &str) -> Result<Head, BadCapture> {
    let not = |error: serde_json::Error| BadCapture::NotACapture {
        why: error.to_string(),
    };
    let mark: Mark = serde_json::from_str(line).map_err(not)?;
    if mark.sagalog_capture > Capture::FORMAT {
        return Err(BadCapture::Newer {
            format: mark.sagalog_capture,
            by: mark.by,
        });
    }
    serde_json::from_str(line).map_err(not)
}

/// What was read so far.
#[derive(Default)]
struct Reading {
    graph: Option<Graph>,
    owners: Vec<Owner>,
    rows: Vec<CapturedRow>,
}

impl Reading {
    fn take(&mut self, number: usize, line: Line<'_>) -> Result<(), BadCapture> {
        let bad = |why: &str| BadCapture::Line {
            line: number,
            why: why.to_owned(),
        };
        match line {
            Line {
                graph: Some(graph), ..
            } if self.graph.is_none() => self.graph = Some(graph),
            Line {
                owner: Some(owner), ..
            } => self.owners.push(owner),
            Line {
                row: Some(row),
                before: Some(before),
                redacted,
                ..
            } => {
                let row =
                    NamedRow::from_json(row.get()).map_err(|error| bad(&error.to_string()))?;
                let before = Digest::parse(before).ok_or_else(|| bad(HASH))?;
                let redacted = redacted.into_iter().map(|was| {
                    let digest = Digest::parse(&was.sha256).ok_or_else(|| bad(HASH))?;
                    Ok(Redacted {
                        event: was.event,
                        digest,
                        bytes: was.bytes,
                    })
                });
                self.rows.push(CapturedRow {
                    row: row.row,
                    before,
                    redacted: redacted.collect::<Result<_, BadCapture>>()?,
                });
            }
            _ => return Err(bad("it is neither an owner nor a row, nor the only graph")),
        }
        Ok(())
    }

    /// The capture, whose last line says this of those before.
    fn end(
        self,
        head: Head,
        lines: &str,
        end: End,
        line: usize,
        rest: &str,
    ) -> Result<Capture, BadCapture> {
        let bad = |line, why: String| BadCapture::Line { line, why };
        if !rest.is_empty() {
            return Err(bad(line + 2, "there is something behind the end".into()));
        }
        let graph = self
            .graph
            .ok_or_else(|| bad(2, "there is no graph".into()))?;
        let saga = SagaId::new(head.saga).map_err(|why| bad(1, why.to_string()))?;
        let redaction = Redaction::of(&head.redacted);
        let events = self
            .rows
            .iter()
            .map(|row| row.row.events.len())
            .sum::<usize>();
        let last = self.rows.last().map(|row| row.row.last_version());
        let fingerprint = Fingerprint::of(&graph);
        let is_graph = graph.saga == head.definition
            && graph.version.0 == head.version
            && fingerprint == head.fingerprint;
        if !is_graph {
            let version = DefinitionVersion(head.version);
            return Err(BadCapture::OtherGraph {
                graph: named(&graph.saga, graph.version, fingerprint),
                started: named(&head.definition, version, head.fingerprint),
            });
        }
        let capture = Capture::checked(Parts {
            by: head.by,
            saga,
            partition: PartitionId::new(head.partition),
            graph: Arc::new(graph),
            owners: self.owners,
            rows: self.rows,
            redaction: redaction.map_err(|why| bad(1, why.to_string()))?,
        })?;
        if events != end.events || capture.rows().len() != end.rows {
            return Err(BadCapture::Versions {
                expected: Version::new(end.events as u64),
                found: last.unwrap_or_default(),
            });
        }
        let computed = Digest::of(lines.as_bytes());
        if computed.to_string() != end.sha256 {
            return Err(BadCapture::Sealed {
                line,
                stored: end.sha256,
                computed,
            });
        }
        Ok(capture)
    }
}

const HASH: &str = "a hash is 64 digits from 0 to 9 and a to f";
