//! How fast the simulator is: `cargo run --release -p sagalog-sim --example speed`.
//!
//! One core, all invariants on. Every figure is the best of several rounds, because what disturbs a
//! measurement only ever makes it slower; where the system tells it (Linux), it is the processor's
//! time and not the clock's, so that what else runs does not count.

use std::{
    hint::black_box,
    sync::LazyLock,
    time::{Duration, Instant},
};

use sagalog_model::{AnyDefinition, Retry, Saga, Step};
use sagalog_sim::{Explore, Plan, Sim};

const SECOND: Duration = Duration::from_secs(1);
const SOON: Retry = Retry::fixed(SECOND).attempts(3);
const DO: Step<u32, u32> = Step::new("x.do")
    .compensatable()
    .timeout(SECOND)
    .retry(SOON)
    .undo_timeout(SECOND)
    .undo_retry(SOON);
const SAGA: Saga<u32, u32> = Saga::new("row");
const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// How long one round of a repeated measurement lasts.
const ROUND: Duration = Duration::from_millis(400);
const ROUNDS: u32 = 5;

fn row(steps: usize) -> AnyDefinition {
    let (mut saga, mut n) = SAGA.define(1);
    for name in &NAMES[..steps] {
        n = saga.step(name, DO, n);
    }
    saga.returns(n).expect("a good definition").into()
}

fn sim(steps: usize) -> Sim {
    Sim::of(row(steps), &1).gives(DO, |n| n + 1)
}

fn many(sagas: u32) -> Sim {
    (1..sagas).fold(sim(6), |sim, n| sim.and_saga(&n))
}

fn main() {
    let only = std::env::args().nth(1);
    let wanted = |name: &str| only.as_deref().is_none_or(|only| name.contains(only));
    let healthy = Plan::healthy();
    if wanted("one") {
        let one = sim(6).play(&healthy);
        let runs = best(|| drop(black_box(one.again())));
        println!("one saga of 6 steps    {runs:>10.0} runs/s (target 30000)");
        let steps = runs * 6.0;
        println!("                       {steps:>10.0} saga steps/s (target 250000)");
    }
    if wanted("hundred") {
        let hundred = many(100).play(&healthy);
        let steps = best(|| drop(black_box(hundred.again()))) * 600.0;
        println!("100 sagas of 6 steps   {steps:>10.0} saga steps/s (target 100000)");
    }
    if wanted("nodes") {
        let hundred = many(100).nodes(3).play(&healthy);
        let steps = best(|| drop(black_box(hundred.again()))) * 600.0;
        println!("100 sagas and 3 nodes  {steps:>10.0} saga steps/s (target 100000)");
    }
    if wanted("fork") {
        let middle = sim(6).play(&healthy);
        let forks = best(|| drop(black_box(middle.clone())));
        let micros = 1e6 / forks;
        println!("fork of a whole world  {micros:>10.2} µs (target 5)");
    }
    if wanted("two") {
        explored("exhaustive(2), 6 steps", 6, Explore::exhaustive(2), 2);
    }
    if wanted("ci") {
        explored("Explore::ci(), 6 steps", 6, Explore::ci(), 2);
    }
    if wanted("three") {
        explored("exhaustive(3), 3 steps", 3, Explore::exhaustive(3), 10);
    }
}

fn explored(what: &str, steps: usize, budget: Explore, target: u64) {
    let sim = sim(steps);
    let begun = worked();
    let explored = sim.explore(budget);
    let seconds = (worked() - begun).as_secs_f64();
    let runs = explored.report().runs;
    explored.check();
    println!("{what} {seconds:>10.2} s for {runs} runs (target {target})");
}

/// The most calls a second of several rounds.
fn best(mut call: impl FnMut()) -> f64 {
    let mut best = 0.0_f64;
    for _ in 0..ROUNDS {
        let (from, begun) = (Instant::now(), worked());
        let mut calls = 0_u32;
        while from.elapsed() < ROUND {
            call();
            calls += 1;
        }
        best = best.max(f64::from(calls) / (worked() - begun).as_secs_f64());
    }
    best
}

/// How long this thread has had a processor; the clock's time where that is not told.
fn worked() -> Duration {
    static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = told.and_then(|text| text.split(' ').next()?.parse().ok());
    nanos.map_or_else(|| BEGINNING.elapsed(), Duration::from_nanos)
}
