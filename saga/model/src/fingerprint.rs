//! What tells two graphs of one name and version apart.

use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::graph::Graph;

/// The first eight bytes of the SHA-256 of a graph's JSON, which holds ids, kinds, contracts,
/// policies, reads and constants, but no source places and no function bodies. Enough to notice an
/// edit; it is no protection against somebody who looks for a collision.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// The fingerprint of a graph.
    pub fn of(graph: &Graph) -> Self {
        let json =
            serde_json::to_vec(graph).expect("a graph is plain data, which always writes as JSON");
        let hash: [u8; 32] = Sha256::digest(&json).into();
        let (head, _) = hash
            .split_first_chunk()
            .expect("a SHA-256 has more than eight bytes");
        Self(u64::from_be_bytes(*head))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        alloc::format!("{fingerprint}")
    }
}

/// Text that is no fingerprint.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a fingerprint is 16 digits from 0 to 9 and a to f")]
pub struct NotAFingerprint;

impl TryFrom<String> for Fingerprint {
    type Error = NotAFingerprint;

    fn try_from(text: String) -> Result<Self, NotAFingerprint> {
        let digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 16 || !text.bytes().all(digit) {
            return Err(NotAFingerprint);
        }
        u64::from_str_radix(&text, 16)
            .map(Self)
            .map_err(|_| NotAFingerprint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Payload, Saga, Step, just};

    const SHOP: Saga<u64, u64> = Saga::new("shop");
    const DOUBLE: Step<u64, u64> = Step::new("maths.double").compensatable();

    fn with_constant(constant: u64) -> Fingerprint {
        let (mut saga, n) = SHOP.define(1);
        let doubled = saga.step(
            "double",
            DOUBLE,
            n.and(just(constant)).map(|n, more| n + more),
        );
        saga.returns(doubled).expect("it is sound").fingerprint()
    }

    /// Sagas that run are bound to this value. If it changes, none of them finds its definition.
    #[test]
    fn a_fingerprint_never_changes() {
        assert_eq!(alloc::format!("{}", with_constant(1)), "8d176a210dee551a");
    }

    #[test]
    fn the_same_definition_built_twice_has_one_fingerprint() {
        assert_eq!(with_constant(1), with_constant(1));
    }

    #[test]
    fn a_changed_constant_changes_it_even_inside_an_expression() {
        assert_ne!(with_constant(1), with_constant(2));
    }

    #[test]
    fn it_is_written_and_read_as_hexadecimal_text() {
        let text = Payload::of(&Fingerprint(0xab)).expect("it is text");
        assert_eq!(text.as_str(), "\"00000000000000ab\"");
        assert_eq!(text.read::<Fingerprint>().ok(), Some(Fingerprint(0xab)));
        for wrong in [
            "\"ab\"",
            "\"+0000000000000ab\"",
            "\"00000000000000AB\"",
            "7",
        ] {
            let read = Payload::from_json_text(wrong).read::<Fingerprint>();
            assert!(read.is_err(), "{wrong}");
        }
    }
}
