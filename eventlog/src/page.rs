//! The form in which the rows of a log are published: pages of JSON, each a message of its own.
//!
//! The exact bytes are in `docs/protocol.md`. Control and data stand there byte for byte as they are stored,
//! so that whoever reads a page can compute the hashes of its rows.

use std::{fmt::Write as _, ops::Range};

use sagalog_model::log::{
    BatchId, Digest, Epoch, InputId, PartitionId, Position, StreamKey, StreamName, StreamState,
    Time, Version,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{body, row::Row};

/// The most rows in one page.
pub const PAGE_ROWS: usize = 100;

/// A page ends when its text reaches this many bytes; a single row may be larger.
pub const PAGE_TEXT_BYTES: usize = 64 << 10;

/// A row whose text is larger than this is left out of its page, whose positions it keeps: readers find out that
/// something is missing and read it from the log.
pub const ROW_TEXT_BYTES: usize = 1_000_000;

/// Consecutive rows of a partition, as they are published.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Page {
    /// Where they are.
    pub partition: PartitionId,
    /// The positions that the page is about, without the last: those of its rows and of what was left out.
    pub positions: Range<Position>,
    /// The rows, in order.
    pub rows: Vec<NamedRow>,
}

/// A row with the name of its stream, which the log stores in the stream's first row only.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NamedRow {
    /// The stream's name.
    pub name: StreamName,
    /// The row, exactly as it is stored.
    pub row: Row,
}

/// A text that is neither a page nor a row.
#[derive(Debug, thiserror::Error)]
#[error("it is no text of a published log: {0}")]
pub struct BadPage(String);

/// Writes rows into pages.
#[derive(Debug)]
pub struct PageWriter {
    partition: PartitionId,
    /// The text of the rows of the page that is under way.
    rows: String,
    count: usize,
    /// What the page that is under way is about.
    positions: Option<Range<Position>>,
    done: Vec<String>,
}

impl PageWriter {
    /// Writes rows of this partition.
    pub fn of(partition: PartitionId) -> Self {
        Self {
            partition,
            rows: String::new(),
            count: 0,
            positions: None,
            done: Vec::new(),
        }
    }

    /// Adds the row that follows those before.
    pub fn add(&mut self, name: &StreamName, row: &Row) {
        let before = self.rows.len();
        write_row(name, row, &mut self.rows);
        self.rows.push(',');
        let bytes = self.rows.len() - before;
        let is_full = self.count == PAGE_ROWS || before > 0 && self.rows.len() > PAGE_TEXT_BYTES;
        if is_full {
            let text = self.rows.split_off(before);
            self.end_page();
            self.rows = text;
        }
        let end = row.last_position().next();
        self.positions = Some(match self.positions.take() {
            Some(positions) => positions.start..end,
            None => row.position..end,
        });
        if bytes > ROW_TEXT_BYTES {
            self.rows.truncate(self.rows.len() - bytes);
        } else {
            self.count += 1;
        }
    }

    /// The pages, which have all rows that were added.
    pub fn pages(mut self) -> Vec<String> {
        self.end_page();
        self.done
    }

    fn end_page(&mut self) {
        let Some(positions) = self.positions.take() else {
            return;
        };
        let mut text = String::with_capacity(self.rows.len() + 80);
        let (first, end) = (positions.start.get(), positions.end.get());
        write!(
            text,
            r#"{{"partition":{},"position":{first},"count":{},"rows":["#,
            self.partition,
            end - first,
        )
        .expect("a string takes all");
        // Each row has a comma behind it.
        text.push_str(self.rows.strip_suffix(',').unwrap_or_default());
        text.push_str("]}");
        self.rows.clear();
        self.count = 0;
        self.done.push(text);
    }
}

/// A row.
fn write_row(name: &StreamName, row: &Row, to: &mut String) {
    let name = serde_json::to_string(name.as_str()).expect("a text is JSON");
    let state = match row.state {
        StreamState::Open => 1,
        StreamState::Closed => 0,
    };
    write!(
        to,
        r#"{{"position":{},"count":{},"stream":{},"name":{name},"version":{},"state":{state},"at":{},"epoch":{},"id":"{:032x}","input":"{:032x}","digest":"{}","chain":"{}","events":"#,
        row.position,
        row.events.len(),
        row.stream,
        row.version,
        row.at.as_micros(),
        row.epoch,
        row.id.0,
        row.input.0,
        row.digest,
        row.chain,
    )
    .expect("a string takes all");
    let mut events = Vec::new();
    body::encode(&row.events, &mut events);
    to.push_str(str::from_utf8(&events).expect("a body is made of text"));
    to.push('}');
}

impl NamedRow {
    /// The row as JSON, with the bytes of its control and data as they are stored.
    pub fn to_json(&self) -> String {
        let mut text = String::new();
        write_row(&self.name, &self.row, &mut text);
        text
    }

    /// Reads such a text back.
    ///
    /// # Errors
    /// [`BadPage`] says what is wrong with the text.
    pub fn from_json(text: &str) -> Result<Self, BadPage> {
        let row = serde_json::from_str::<ReadRow<'_>>(text);
        row.map_err(|error| BadPage(error.to_string()))?.read()
    }
}

impl Page {
    /// Reads a page.
    ///
    /// # Errors
    /// [`BadPage`] says what is wrong with the text.
    pub fn read(text: &str) -> Result<Self, BadPage> {
        let bad = |error: serde_json::Error| BadPage(error.to_string());
        let read: ReadPage<'_> = serde_json::from_str(text).map_err(bad)?;
        let start = Position::new(read.position);
        let end = read.position.checked_add(read.count);
        let end = end.filter(|end| start.get() > 0 && *end > start.get());
        let end = end.ok_or_else(|| BadPage("its positions are out of range".into()))?;
        let mut last = Position::new(read.position - 1);
        let mut rows = Vec::with_capacity(read.rows.len().min(PAGE_ROWS));
        for row in read.rows {
            let row = row.read()?;
            if row.row.position <= last || row.row.last_position().get() >= end {
                let position = row.row.position;
                return Err(BadPage(format!(
                    "the row at position {position} is out of place"
                )));
            }
            last = row.row.last_position();
            rows.push(row);
        }
        Ok(Self {
            partition: PartitionId::new(read.partition),
            positions: start..Position::new(end),
            rows,
        })
    }
}

#[derive(Deserialize)]
struct ReadPage<'a> {
    partition: u32,
    position: u64,
    count: u64,
    #[serde(borrow)]
    rows: Vec<ReadRow<'a>>,
}

#[derive(Deserialize)]
struct ReadRow<'a> {
    position: u64,
    count: usize,
    stream: u64,
    name: StreamName,
    version: u64,
    state: u8,
    at: u64,
    epoch: u64,
    id: &'a str,
    input: &'a str,
    digest: &'a str,
    chain: &'a str,
    #[serde(borrow)]
    events: &'a RawValue,
}

impl ReadRow<'_> {
    fn read(self) -> Result<NamedRow, BadPage> {
        let position = self.position;
        let bad = |what: &str| BadPage(format!("{what} of the row at position {position}"));
        let id = |text: &str| {
            let is_written_well = text.len() == 32 && !text.starts_with('+');
            let id = u128::from_str_radix(text, 16).ok();
            id.filter(|_| is_written_well)
        };
        let hash = |text, what| Digest::parse(text).ok_or_else(|| bad(what));
        let events = body::decode(self.events.get());
        let events = events.map_err(|error| bad(&format!("the events ({error})")))?;
        if events.is_empty() || events.len() != self.count {
            return Err(bad("the count of events"));
        }
        let last = position.checked_add(self.count as u64);
        if last.is_none() || self.version.checked_add(self.count as u64).is_none() {
            return Err(bad("the position or the version"));
        }
        let version = Version::new(self.version);
        Ok(NamedRow {
            row: Row {
                position: Position::new(position),
                stream: StreamKey::new(self.stream),
                name: (version == Version::new(1)).then(|| self.name.clone()),
                version,
                at: Time::from_micros(self.at),
                epoch: Epoch::new(self.epoch),
                id: BatchId(id(self.id).ok_or_else(|| bad("the id"))?),
                input: InputId(id(self.input).ok_or_else(|| bad("the input"))?),
                digest: hash(self.digest, "the digest")?,
                state: match self.state {
                    0 => StreamState::Closed,
                    1 => StreamState::Open,
                    _ => return Err(bad("the state")),
                },
                chain: hash(self.chain, "the chain value")?,
                events,
            },
            name: self.name,
        })
    }
}

#[cfg(test)]
mod tests {
    use sagalog_model::log::{Data, Digest};

    use super::*;
    use crate::chain::{Chain, tests};

    fn name() -> StreamName {
        StreamName::new("order-1").expect("a good name")
    }

    fn written(rows: &[Row]) -> Vec<String> {
        let mut writer = PageWriter::of(PartitionId::new(0));
        rows.iter().for_each(|row| writer.add(&name(), row));
        writer.pages()
    }

    /// A row of one event, whose data is a text of so many bytes.
    fn row(position: u64, bytes: usize) -> Row {
        let mut row = tests::rows().remove(1);
        row.position = Position::new(position);
        row.events.truncate(1);
        row.events[0].data = Data::Inline(format!("\"{}\"", "x".repeat(bytes)).into());
        row
    }

    #[test]
    fn a_page_has_the_bytes_of_the_document() {
        let document = include_str!("../../docs/protocol.md");
        let (_, rest) = document
            .split_once("header to S log.0\nbody ")
            .expect("the document has a page");
        let page = rest.lines().next().expect("it has a line");
        assert_eq!(written(&tests::rows()), [page]);
    }

    #[test]
    fn what_was_written_reads_back_and_its_chain_can_be_computed() {
        let rows = tests::rows();
        let [text] = &written(&rows)[..] else {
            panic!("these fit in a page");
        };
        let page = Page::read(text).expect("just written");
        assert_eq!(
            page.positions,
            Position::new(1)..rows[1].last_position().next()
        );
        assert!(page.rows.iter().all(|row| row.name == name()));
        let read: Vec<_> = page.rows.into_iter().map(|named| named.row).collect();
        assert_eq!(read, rows);
        let mut chain = Chain::after(page.partition, Digest::default());
        assert!(read.iter().all(|row| chain.next(row) == row.chain));
    }

    #[test]
    fn pages_are_bounded_in_rows_and_bytes_and_follow_each_other() {
        let small = (1..=250).map(|position| row(position, 10));
        let large = (251..=260).map(|position| row(position, 20_000));
        let rows: Vec<_> = small.chain(large).collect();
        let pages = written(&rows);
        let mut next = Position::new(1);
        for text in &pages {
            assert!(text.len() < PAGE_TEXT_BYTES + 100, "{} bytes", text.len());
            let page = Page::read(text).expect("just written");
            assert!(page.rows.len() <= PAGE_ROWS);
            assert_eq!(page.positions.start, next);
            next = page.positions.end;
        }
        assert_eq!(next, Position::new(261));
    }

    #[test]
    fn a_row_that_is_too_large_is_left_out_and_its_position_is_not() {
        let rows = [
            row(1, 10),
            row(2, ROW_TEXT_BYTES),
            row(3, 10),
            row(4, ROW_TEXT_BYTES),
        ];
        let pages = written(&rows);
        let pages: Vec<_> = pages
            .iter()
            .map(|text| Page::read(text).expect("just written"))
            .collect();
        let kept: Vec<_> = pages
            .iter()
            .flat_map(|page| &page.rows)
            .map(|named| named.row.position.get())
            .collect();
        assert_eq!(kept, [1, 3]);
        let (first, last) = (&pages[0], &pages[pages.len() - 1]);
        assert_eq!(first.positions.start, Position::new(1));
        assert_eq!(last.positions.end, Position::new(5));
    }

    #[test]
    fn what_is_no_page_is_refused_with_what_is_wrong() {
        let good = written(&tests::rows()).remove(0);
        for (from, to, told) in [
            (
                "\"position\":1,\"count\":4,\"rows\"",
                "\"position\":0,\"count\":4,\"rows\"",
                "its positions are out of range",
            ),
            (
                "\"count\":4,\"rows\"",
                "\"count\":3,\"rows\"",
                "the row at position 3 is out of place",
            ),
            (
                "\"position\":3,\"count\":2",
                "\"position\":2,\"count\":2",
                "the row at position 2 is out of place",
            ),
            (
                "\"position\":3,\"count\":2,",
                "\"position\":3,\"count\":1,",
                "the count of events of the row at position 3",
            ),
            (
                "\"state\":1",
                "\"state\":7",
                "the state of the row at position 1",
            ),
            (
                "\"chain\":\"e0",
                "\"chain\":\"xx",
                "the chain value of the row at position 1",
            ),
        ] {
            assert!(good.contains(from), "{from} in {good}");
            let refused = Page::read(&good.replacen(from, to, 1)).expect_err(to);
            assert!(refused.to_string().ends_with(told), "{refused}");
        }
    }
}
