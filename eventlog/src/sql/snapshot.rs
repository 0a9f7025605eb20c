//! The recovery snapshot: which streams were open at a position, in bytes that say whether they are
//! whole. `docs/log-format.md` has them.

use std::collections::HashMap;

use sagalog_model::log::{Digest, Position, StreamKey, StreamState, Version};

use crate::{
    ledger::{End, Ledger},
    sql::columns::Columns,
};

/// Open streams with their last versions.
pub(crate) type Open = HashMap<StreamKey, Version>;

/// A partition as its owner finds it.
pub(crate) struct Recovered {
    pub(crate) end: End,
    pub(crate) open: Open,
    /// Up to where a snapshot had it.
    pub(crate) snapshot: Position,
}

/// Why a partition was not recovered.
pub(crate) enum NotRecovered {
    /// The store failed.
    Store(sqlx::Error),
    /// The log is not the one that the snapshot was made of.
    Contradiction {
        position: Position,
        what: &'static str,
    },
}

impl From<sqlx::Error> for NotRecovered {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error)
    }
}

/// The open streams up to a position.
pub(crate) struct Snapshot {
    pub(crate) position: Position,
    pub(crate) chain: Digest,
    pub(crate) open: Open,
}

/// A snapshot as it is stored.
pub(crate) struct Bytes {
    pub(crate) position: Position,
    pub(crate) chain: Digest,
    pub(crate) open: Vec<u8>,
    pub(crate) digest: Digest,
}

impl Bytes {
    /// The snapshot of what is stored.
    pub(crate) fn of(ledger: &Ledger) -> Self {
        let End {
            position, chain, ..
        } = ledger.end();
        let open = to_bytes(ledger.open());
        Self {
            position,
            chain,
            digest: digest(position, chain, &open),
            open,
        }
    }
}

impl Snapshot {
    /// A stored snapshot: position, chain, open streams, digest. One that is not whole counts as none,
    /// because it can be made again.
    pub(crate) fn read(row: &impl Columns) -> Result<Option<Self>, sqlx::Error> {
        let position = Position::new(row.number(0)?);
        let (Ok(chain), Ok(stored)) = (row.bytes(1), row.bytes(3)) else {
            return Ok(None);
        };
        let (chain, open) = (Digest(chain), row.blob(2)?);
        let whole = Digest(stored) == digest(position, chain, open);
        Ok(whole.then(|| Self {
            position,
            chain,
            open: from_bytes(open),
        }))
    }

    /// Whether a log that ends at `last`, and whose row at the snapshot's position ends as `then`
    /// says, still has what the snapshot was made of.
    pub(crate) fn check(&self, then: End, last: End) -> Result<(), NotRecovered> {
        let position = self.position;
        if last.position < position {
            let what =
                "the log ends before a position that it had when its recovery snapshot was written";
            return Err(NotRecovered::Contradiction {
                position: last.position,
                what,
            });
        }
        if (then.position, then.chain) != (position, self.chain) {
            let what =
                "the row is not the one that was there when the recovery snapshot was written";
            return Err(NotRecovered::Contradiction { position, what });
        }
        Ok(())
    }
}

/// Brings open streams forward to where these say that they stand: key, version, state.
pub(crate) fn forward(open: &mut Open, heads: &[impl Columns]) -> Result<(), sqlx::Error> {
    for row in heads {
        let head = row.head(0)?;
        match head.state {
            StreamState::Closed => open.remove(&head.stream),
            StreamState::Open => open.insert(head.stream, head.version),
        };
    }
    Ok(())
}

/// How many positions go by between two snapshots: the more streams are open, the larger it is and
/// the rarer it is written.
pub(crate) fn is_due(ledger: &Ledger, last: Position, every: u64) -> bool {
    let every = every.max(4 * ledger.open().len() as u64);
    ledger.end().position.get() - last.get() >= every
}

fn digest(position: Position, chain: Digest, open: &[u8]) -> Digest {
    Digest::of(&[&position.get().to_be_bytes(), &chain.0[..], open].concat())
}

fn to_bytes(open: &Open) -> Vec<u8> {
    let numbers = open
        .iter()
        .flat_map(|(stream, version)| [stream.get(), version.get()]);
    numbers.flat_map(u64::to_be_bytes).collect()
}

fn from_bytes(bytes: &[u8]) -> Open {
    let number = |bytes: &[u8; 8]| u64::from_be_bytes(*bytes);
    let pairs = bytes.as_chunks::<8>().0.as_chunks::<2>().0;
    pairs
        .iter()
        .map(|[stream, version]| {
            (
                StreamKey::new(number(stream)),
                Version::new(number(version)),
            )
        })
        .collect()
}
