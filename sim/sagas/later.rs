//! Work that is accepted now and completed later.

use std::time::Duration;

use sagalog_model::{Retry, Saga, Step};

use super::{Sim, all_or_nothing, steps::*};

/// Accepted within a second, never silent for longer, done within eight.
pub const SCAN: Step<u32, u32> = Step::new("y.scan")
    .compensatable()
    .timeout(SECOND)
    .heartbeat(SECOND)
    .deadline(Duration::from_secs(8))
    .retry(Retry::fixed(SECOND).attempts(3))
    .undo_timeout(SECOND)
    .undo_retry(Retry::fixed(SECOND).attempts(3));
/// The same behind a pivot.
pub const RESCAN: Step<u32, u32> = Step::new("y.rescan")
    .retryable()
    .timeout(SECOND)
    .heartbeat(SECOND)
    .deadline(Duration::from_secs(8))
    .retry(Retry::fixed(SECOND).attempts(3));

/// What a scan takes: more than its timeout.
const TAKES: Duration = Duration::from_millis(1_500);

/// A sample is scanned, which takes long, and then sent back.
pub fn lab() -> Sim {
    const SAGA: Saga<u32, u32> = Saga::new("lab");
    let (mut saga, n) = SAGA.define(1);
    let sample = saga.step("sample", DO, n);
    let scan = saga.step("scan", SCAN, sample);
    saga.pivot();
    saga.step("ship", SHIP, sample);
    sim(saga.returns(scan), &10)
        .gives(SCAN, |n| n + 1)
        .accepts(SCAN, TAKES)
        .eventually("sampled, scanned and shipped, or none of it", |world| {
            all_or_nothing(world, &["sample", "scan", "ship"])
        })
}

/// It is paid for while it is scanned.
pub fn paid_lab() -> Sim {
    const SAGA: Saga<u32, u32> = Saga::new("paid-lab");
    let (mut saga, n) = SAGA.define(1);
    let (scan, _) = saga.all(|all| {
        let scan = all.step("scan", SCAN, n);
        (scan, all.step("pay", ONCE, n))
    });
    saga.pivot();
    saga.step("ship", SHIP, scan);
    sim(saga.returns(scan), &10)
        .gives(SCAN, |n| n + 1)
        .accepts(SCAN, TAKES)
        .eventually("scanned and paid, or neither", |world| {
            all_or_nothing(world, &["scan", "pay"])
        })
}

/// The scan comes after the point of no return.
pub fn tail_lab() -> Sim {
    const SAGA: Saga<u32, u32> = Saga::new("tail-lab");
    let (mut saga, n) = SAGA.define(1);
    let sample = saga.step("sample", DO, n);
    saga.pivot();
    let scan = saga.step("scan", RESCAN, sample);
    sim(saga.returns(scan), &10)
        .gives(RESCAN, |n| n + 1)
        .accepts(RESCAN, TAKES)
}
