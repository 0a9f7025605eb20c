//! How a handler says that it has no output.

use std::fmt;

use sagalog_model::{FailureClass, Outcome};

/// Why a handler has no output.
///
/// [`permanent`](Self::permanent) and [`transient`](Self::transient) vouch that **nothing took
/// effect**; only the handler can know that. An error that comes up through `?` is
/// [`unknown`](Self::unknown): a request that timed out may have been served. Unknown costs a
/// probe or another attempt under the same key, a wrong vouching costs an effect that nobody
/// undoes.
///
/// ```
/// # use sagalog::worker::Failure;
/// fn quantity(text: &str) -> Result<u32, Failure> {
///     // Nothing was sent yet, so this handler can vouch.
///     text.parse().map_err(Failure::permanent)
/// }
/// # assert_eq!(quantity("two").unwrap_err().reason(), "invalid digit found in string");
/// ```
///
/// Errors that do not implement [`std::error::Error`], such as boxed ones, are passed on with
/// `.map_err(Failure::unknown)?`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    kind: Kind,
    reason: String,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Failed(FailureClass),
    Unknown,
}

/// What a probe found out about the action.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Found<O> {
    /// It took effect, and this is its output.
    Succeeded(O),
    /// It has not taken effect so far.
    NotDone,
    /// It cannot be found out now.
    Unknown,
}

/// What the handler of a step with a heartbeat gives.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Given<O> {
    /// It is done, and this is its output.
    Now(O),
    /// It is accepted: the work goes on elsewhere, and who does it completes the attempt by its
    /// [`token`](super::Attempt::token).
    Later,
}

impl Failure {
    /// Nothing took effect, and asking again cannot help.
    pub fn permanent(reason: impl fmt::Display) -> Self {
        Self::new(Kind::Failed(FailureClass::Permanent), &reason)
    }

    /// Nothing took effect, and asking again can help.
    pub fn transient(reason: impl fmt::Display) -> Self {
        Self::new(Kind::Failed(FailureClass::Transient), &reason)
    }

    /// It may have taken effect or not.
    pub fn unknown(reason: impl fmt::Display) -> Self {
        Self::new(Kind::Unknown, &reason)
    }

    /// Why, for people.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    fn new(kind: Kind, reason: &dyn fmt::Display) -> Self {
        Self {
            kind,
            reason: bounded(reason.to_string()),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

// `Failure` itself is no `Error`, as then it could not be made from every one of them.
impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut reason = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            reason.push_str(": ");
            reason.push_str(&cause.to_string());
            source = cause.source();
        }
        Self::unknown(reason)
    }
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Self {
        let reason = failure.reason;
        match failure.kind {
            Kind::Failed(class) => Self::Failed { class, reason },
            Kind::Unknown => Self::Unknown { reason },
        }
    }
}

/// The longest reason that is sent, in bytes; what is beyond it is cut off.
pub(super) const REASON_MAX_BYTES: usize = 4 * 1024;

/// Cuts a reason to its bound.
pub(super) fn bounded(mut reason: String) -> String {
    if reason.len() > REASON_MAX_BYTES {
        reason.truncate(reason.floor_char_boundary(REASON_MAX_BYTES - '…'.len_utf8()));
        reason.push('…');
    }
    reason
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_that_comes_up_vouches_for_nothing() {
        fn handler() -> Result<u8, Failure> {
            Ok("many".parse()?)
        }
        let reason = "invalid digit found in string".to_string();
        let failure = handler().expect_err("many is not a number");
        assert_eq!(Outcome::from(failure), Outcome::Unknown { reason });
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let failure = Failure::transient("ä".repeat(REASON_MAX_BYTES));
        assert!(failure.reason().len() <= REASON_MAX_BYTES);
        assert!(failure.reason().ends_with("ä…"));
    }
}
