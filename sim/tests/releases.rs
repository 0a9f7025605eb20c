//! What is released has no planted bugs.
#![cfg(not(feature = "mutants"))]

use sagalog_engine::Rules;

/// Names every field, so that it does not compile if a switch for planted bugs is among them.
#[test]
fn without_the_feature_there_is_no_switch() {
    let Rules {
        live_max: _,
        window: _,
        payload_max: _,
        decided_bytes_max: _,
        id_max: _,
        reason_max: _,
        commit_inputs_max: _,
        commit_bytes_max: _,
        waiters_max: _,
        overdue_grace: _,
    } = Rules::DEFAULT;
}
