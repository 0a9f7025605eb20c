//! Planted bugs are found, and the healthy engine raises no alarm.

use sagalog_sim::mutants::{Budget, Mutant, hunt};

/// One for each invariant that planted bugs break, and some that need two faults.
const CANARIES: &[Mutant] = &[
    Mutant::StartsTwice,
    Mutant::GoesForwardAfterTheTurn,
    Mutant::UndoesAgainAfterACrash,
    Mutant::LogTakesStaleEpochs,
    Mutant::PublishesBeforeTheAppend,
    Mutant::AsksNothingAgain,
    Mutant::KeysHoldTheAttempt,
    Mutant::AnswersBeforeTheAppend,
    Mutant::ForgetsContradictions,
    Mutant::UndoesFromTheFirst,
    Mutant::AsksOnceTooOften,
    Mutant::FiresTooEarly,
    Mutant::RefusesLateAnswers,
    Mutant::PublishesInReverse,
    Mutant::HidesFailedUndo,
    Mutant::KeepsWhatHasEnded,
    Mutant::InputIsComputedAgain,
    Mutant::DrawsANumber,
    Mutant::CancelIsOnlyRecorded,
    Mutant::KeepsNoTombstones,
];

#[test]
fn canaries_are_found() {
    // Some of them end in a panic, which is caught and counts as a violation.
    std::panic::set_hook(Box::new(|_| {}));
    let alive: Vec<_> = CANARIES
        .iter()
        .filter(|canary| hunt(Some(**canary), Budget::Ci).catch.is_none())
        .map(|canary| canary.name())
        .collect();
    drop(std::panic::take_hook());
    assert!(alive.is_empty(), "not found: {}", alive.join(", "));
}

#[test]
fn the_healthy_engine_raises_no_alarm() {
    let hunt = hunt(None, Budget::Ci);
    if let Some(catch) = hunt.catch {
        panic!("in `{}`:\n{}", catch.saga, catch.timeline);
    }
    assert!(hunt.runs > 10_000, "{} runs", hunt.runs);
}

#[test]
fn planted_bugs_have_names_of_their_own() {
    let mut names: Vec<_> = Mutant::ALL.iter().map(|mutant| mutant.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Mutant::ALL.len());
}
