//! Counts by size without a lock: what drivers note, and what a scrape shows of it.

use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use prometheus_client::metrics::exemplar::HistogramWithExemplars;

use super::metrics::Labels;

/// Upper bounds of time spans, in seconds: from what is in memory to what takes a person.
pub(super) const SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
];

/// Upper bounds of counts.
pub(super) const COUNTS: &[f64] = &[
    1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0,
];

/// What was noted, by size. Noting takes two additions; what a scrape needs is made by the scrape.
#[derive(Debug)]
pub(super) struct Spread {
    bounds: &'static [f64],
    buckets: Box<[Bucket]>,
    exemplar: Example,
    /// What the endpoint shows: the same, as far as it was scraped.
    shown: HistogramWithExemplars<Labels>,
    scraping: Mutex<()>,
}

#[derive(Debug, Default)]
struct Bucket {
    count: AtomicU64,
    /// In millionths.
    sum: AtomicU64,
}

/// One of those noted since the last scrape, with what it was.
#[derive(Debug, Default)]
struct Example {
    /// Whether there is one, or somebody just puts one there.
    taken: AtomicU64,
    what: Mutex<Option<(f64, Labels)>>,
}

impl Spread {
    /// What is noted here is shown there, whose upper bounds are these.
    pub(super) fn shown_by(shown: HistogramWithExemplars<Labels>, bounds: &'static [f64]) -> Self {
        Self {
            bounds,
            buckets: (0..=bounds.len()).map(|_| Bucket::default()).collect(),
            exemplar: Example::default(),
            shown,
            scraping: Mutex::default(),
        }
    }

    pub(super) fn note(&self, value: f64) {
        let bucket = &self.buckets[self.bounds.partition_point(|bound| *bound < value)];
        bucket.sum.fetch_add((value * 1e6) as u64, Relaxed);
        bucket.count.fetch_add(1, Relaxed);
    }

    /// Notes it, as an example too if there is none since the last scrape.
    pub(super) fn note_with(&self, value: f64, what: impl FnOnce() -> Labels) {
        let example = &self.exemplar;
        if example.taken.load(Relaxed) == 0
            && example.taken.swap(1, Relaxed) == 0
            && let Ok(mut place) = example.what.try_lock()
        {
            *place = Some((value, what()));
        }
        self.note(value);
    }

    /// Brings what the endpoint shows up to what was noted. What came in one bucket since the last time is shown as
    /// so many of their mean, so counts and sum are those that were noted.
    pub(super) fn show(&self) {
        let _one = self
            .scraping
            .lock()
            .expect("nothing panics under this lock");
        let place = self.exemplar.what.lock();
        let mut example = place.expect("nothing panics under this lock").take();
        for (index, bucket) in self.buckets.iter().enumerate() {
            let count = bucket.count.swap(0, Relaxed);
            let sum = bucket.sum.swap(0, Relaxed) as f64 / 1e6;
            let from = index.checked_sub(1).map_or(0.0, |below| self.bounds[below]);
            let to = self.bounds.get(index).copied().unwrap_or(f64::MAX);
            let mut left = count;
            let is_here = |(value, _): &mut (f64, Labels)| from < *value && *value <= to;
            if left > 0
                && let Some((value, labels)) = example.take_if(is_here)
            {
                self.shown.observe(value, Some(labels), None);
                left -= 1;
            }
            // A sum may have been read without its count; the mean stays in its bucket.
            let mean = (sum / count.max(1) as f64).clamp(from.next_up(), to);
            (0..left).for_each(|_| self.shown.observe(mean, None, None));
        }
        self.exemplar.taken.store(0, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_has_the_counts_and_the_sum_of_what_was_noted() {
        let shown = HistogramWithExemplars::new(SECONDS.iter().copied());
        let spread = Spread::shown_by(shown.clone(), SECONDS);
        for value in [0.002, 0.001, 0.002, 0.4, 1_000.0] {
            spread.note(value);
        }
        spread.show();
        spread.note_with(0.3, || vec![("saga", "o-1".to_owned())]);
        spread.note_with(0.3, || vec![("saga", "o-2".to_owned())]);
        spread.show();
        spread.show();
        let mut registry = prometheus_client::registry::Registry::default();
        registry.register("took", "How long", shown);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("it is text");
        for line in [
            r#"took_bucket{le="0.001"} 1"#,
            r#"took_bucket{le="0.0025"} 3"#,
            r#"took_bucket{le="0.25"} 3"#,
            r#"took_bucket{le="0.5"} 6 # {saga="o-1"} 0.3"#,
            r#"took_bucket{le="300.0"} 6"#,
            r#"took_bucket{le="+Inf"} 7"#,
            "took_count 7",
        ] {
            assert!(
                text.lines().any(|it| it == line),
                "{line} is not in\n{text}"
            );
        }
        let sum = text.lines().find_map(|line| line.strip_prefix("took_sum "));
        let sum: f64 = sum
            .expect("there is a sum")
            .parse()
            .expect("it is a number");
        assert!((sum - 1_001.005).abs() < 1e-6, "{sum}");
    }
}
