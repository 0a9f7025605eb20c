//! One JSON value on a line, of bounded length.

use serde::Serialize;
use tokio::io::{self, AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// What was read.
pub(super) enum Line {
    /// A line, without its end.
    Whole(Vec<u8>),
    /// More than fits.
    TooLong,
    /// Nothing more comes.
    End,
}

/// Reads a line of at most `max` bytes.
pub(super) async fn read(from: &mut (impl AsyncBufRead + Unpin), max: usize) -> io::Result<Line> {
    let mut line = Vec::new();
    from.take(max as u64 + 1)
        .read_until(b'\n', &mut line)
        .await?;
    if line.is_empty() {
        return Ok(Line::End);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    Ok(if line.len() > max {
        Line::TooLong
    } else {
        Line::Whole(line)
    })
}

/// Writes a value as a line.
pub(super) async fn write(
    to: &mut (impl AsyncWrite + Unpin),
    value: &impl Serialize,
) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    to.write_all(&line).await?;
    to.flush().await
}
