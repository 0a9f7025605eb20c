//! What it costs to admit a command and to learn how it ended, in nanoseconds.
//!
//! ```sh
//! cargo run --release -p sagalog-engine --example admission_bench
//! ```

use std::{hint::black_box, sync::Arc, time::Instant};

use sagalog_engine::admission::{Admission, Class, Ended, Policies};
use sagalog_model::log::Time;

const ROUNDS: u64 = 2_000_000;

fn main() {
    for participants in [1, 10, 200] {
        let names: Vec<_> = (0..participants)
            .map(|n| format!("participant-{n:03}"))
            .collect();
        let mut admission: Admission<u64> = Admission::new(Arc::new(Policies::default()));
        let began = Instant::now();
        for round in 0..ROUNDS {
            let now = Time::from_micros(1_000_000_000 + round);
            let name = &names[round as usize % names.len()];
            let permit = admission.admit(black_box(name), Class::Begins, now);
            let permit = permit.expect("nothing else is under way");
            admission.ended(black_box(permit), Ended::Well, now);
        }
        let each = began.elapsed().as_nanos() as u64 / ROUNDS;
        println!("{participants:>4} participants: admitted and ended in {each} ns");
    }
    let mut admission: Admission<u64> = Admission::new(Arc::new(Policies::default()));
    let mut failed = 0;
    let now = Time::from_micros(1_000_000_000);
    while let Some(permit) = admission.admit("payments", Class::Begins, now) {
        admission.ended(permit, Ended::Badly, now);
        failed += 1;
    }
    let began = Instant::now();
    for _ in 0..ROUNDS {
        let kept = admission.admit(black_box("payments"), Class::Begins, now);
        assert!(black_box(kept).is_none(), "the breaker is open");
    }
    let each = began.elapsed().as_nanos() as u64 / ROUNDS;
    println!("   open after {failed} failures: kept back in {each} ns");
}
