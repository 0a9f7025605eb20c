//! How far a follower is.

use sagalog_model::log::{Digest, Position};

/// How far a follower is in a partition: behind the row that ends at `position`. The rest helps and may be left out.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Checkpoint {
    /// The last position handled; 0 is before the first.
    pub position: Position,
    /// The chain value there. Without it, what comes next is taken for the right thing.
    pub chain: Option<Digest>,
    /// Where in the stream to begin. Without it, the stream is read from its beginning, and what was handled is
    /// passed over.
    pub offset: Option<u64>,
}

impl Checkpoint {
    /// Behind this position.
    pub fn at(position: Position) -> Self {
        Self {
            position,
            chain: (position == Position::default()).then(Digest::default),
            offset: None,
        }
    }
}
