//! Of which sagas a trace is kept.

use std::{collections::BTreeMap, str::FromStr};

use opentelemetry::trace::TraceId;

/// How many of the sagas are traced, by definition. What goes wrong is kept in any case.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Sampling {
    others: Rate,
    of: BTreeMap<String, Rate>,
}

/// A part of all, in 65,536ths.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Rate(u32);

const ALL: u32 = 1 << 16;

impl Sampling {
    /// Whether the trace of a saga of this definition is kept. Every process that is told the same rates says the
    /// same.
    pub(super) fn keeps(&self, saga: &str, trace: TraceId) -> bool {
        let rate = self.of.get(saga).unwrap_or(&self.others);
        let [.., a, b] = trace.to_bytes();
        u32::from(u16::from_be_bytes([a, b])) < rate.0
    }

    /// Whether this one is kept of what has no saga.
    pub(super) fn keeps_number(&self, number: u64) -> bool {
        // Each that moves the sum over a whole one.
        let rate = u64::from(self.others.0);
        let all = u64::from(ALL);
        (number + 1).wrapping_mul(rate) / all > number.wrapping_mul(rate) / all
    }
}

impl FromStr for Sampling {
    type Err = String;

    /// As `0.1`, or `0.01,order=1`: a rate for all, and others for the sagas of some definitions.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut sampling = Self {
            others: Rate(ALL / 10),
            of: BTreeMap::new(),
        };
        for part in text.split(',').map(str::trim) {
            match part.split_once('=') {
                Some((saga, rate)) => _ = sampling.of.insert(saga.to_owned(), rate.parse()?),
                None => sampling.others = part.parse()?,
            }
        }
        Ok(sampling)
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rate = text.parse::<f64>().ok();
        let rate = rate.filter(|rate| (0.0..=1.0).contains(rate));
        let rate = rate.ok_or_else(|| format!("{text:?} is no rate from 0 to 1, as 0.1"))?;
        Ok(Self((rate * f64::from(ALL)).round() as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_are_kept_as_the_rate_says() {
        let sampling: Sampling = "0.25,order=1,poll=0".parse().expect("it reads");
        let traces = (0..4_096_u128).map(|it| TraceId::from_bytes((it * 16).to_be_bytes()));
        let kept = |saga: &str| {
            traces
                .clone()
                .filter(|trace| sampling.keeps(saga, *trace))
                .count()
        };
        assert_eq!(
            (kept("trip"), kept("order"), kept("poll")),
            (1_024, 4_096, 0)
        );
        let numbers = (0..4_096).filter(|number| sampling.keeps_number(*number));
        assert_eq!(numbers.count(), 1_024);
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for text in ["2", "order=-1", "often", ""] {
            assert!(text.parse::<Sampling>().is_err(), "{text}");
        }
    }
}
