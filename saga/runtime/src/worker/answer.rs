//! Outputs as they are sent.

use std::io;

use sagalog_model::{Outcome, Payload};
use serde::Serialize;

/// The longest output, in bytes of JSON.
pub(super) const OUTPUT_MAX_BYTES: usize = 256 * 1024;

/// The outcome of a call that gave this output.
///
/// What cannot be written or is too large is unknown: the effect has happened, and only what it
/// gave is lost.
pub(super) fn succeeded<T: Serialize>(output: &T) -> Outcome {
    let mut text = BoundedText(Vec::with_capacity(64));
    match serde_json::to_writer(&mut text, output) {
        Ok(()) => {
            let text = String::from_utf8(text.0).expect("serde_json writes UTF-8");
            Outcome::Succeeded(Payload::from_json_text(text))
        }
        Err(error) if error.is_io() => Outcome::Unknown {
            reason: format!("the output is larger than {OUTPUT_MAX_BYTES} bytes"),
        },
        Err(error) => Outcome::Unknown {
            reason: format!("the output cannot be written as JSON: {error}"),
        },
    }
}

/// An output as it is sent, for whoever records it.
#[cfg(feature = "postgres")]
pub(crate) fn output_as_sent<T: Serialize>(output: &T) -> Result<Payload, super::Failure> {
    match succeeded(output) {
        Outcome::Succeeded(output) => Ok(output),
        Outcome::Unknown { reason } | Outcome::Failed { reason, .. } => {
            Err(super::Failure::unknown(reason))
        }
        Outcome::NotDone | Outcome::Alive { .. } => unreachable!("an output is given or not"),
    }
}

/// Stops at the bound, so that an endless output does not fill the memory first.
struct BoundedText(Vec<u8>);

impl io::Write for BoundedText {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > OUTPUT_MAX_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
