//! Moments as they are given on a command line.

use std::{
    str::FromStr,
    time::{SystemTime, UNIX_EPOCH},
};

use sagalog_model::log::Time;

use crate::words;

/// A moment, or so long ago.
#[derive(Clone, Copy, Debug)]
pub(crate) struct When(pub(crate) Time);

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(ago) = words::to_span(text) {
            return Ok(Self(now().before(ago)));
        }
        words::moment(text).map(Self).ok_or_else(|| {
            "it is neither a moment in UTC, as 2026-11-20T20:07:30Z, nor a span, as 90s, 15m, 2h, 3d"
                .to_owned()
        })
    }
}

/// The moment that it is.
pub(crate) fn now() -> Time {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let micros = now.unwrap_or_default().as_micros();
    Time::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}
