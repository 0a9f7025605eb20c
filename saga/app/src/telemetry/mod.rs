//! What a process tells about itself while it works: log lines, metrics, health.

pub(crate) mod alerts;
pub(crate) mod catalogue;
pub(crate) mod dashboard;
pub(crate) mod reference;

mod health;
mod http;
mod logs;
mod metrics;
mod spread;
mod trace;
mod watching;

pub(crate) use health::Health;
pub(crate) use http::{HttpArg, Serving};
pub(crate) use logs::{Levels, LevelsArg, LogFormat, to_stderr};
pub(crate) use metrics::Metrics;
pub(crate) use trace::{Exporting, OtlpArg};
pub(crate) use watching::Watching;
