//! Planted bugs are found, and the healthy engine raises no alarm.

use std::{collections::BTreeSet, fs};

use sagalog_sim::{
    Fault, Plan,
    mutants::{Budget, Mutant, Scenario, hunt, scenarios},
};

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
    Mutant::WatermarkIsOffByOne,
    Mutant::StampsRepeatsAnew,
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
    Mutant::BreakerNeverTries,
    Mutant::HalfOpenLetsAllThrough,
    Mutant::WaitingSpendsAttempts,
    Mutant::GoesOnWhilePaused,
    Mutant::PauseKeepsNothingBack,
    Mutant::ResumeWakesNobody,
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

/// The moment between two answers is short: one of them steps aside, a jump of the clock makes both branches try
/// again at once, or a deadline makes both go back.
#[test]
fn of_single_faults_an_order_finds_a_lost_wake_up_and_hardly_anything_else() {
    let mut found_by = BTreeSet::new();
    let scenarios = scenarios().into_iter();
    for Scenario { sim, .. } in scenarios.filter(|scenario| scenario.faults == 0) {
        let sim = sim.mutant(Mutant::LosesTheWakeUp);
        for site in sim.play(&Plan::healthy()).visited() {
            for fault in Fault::at_site(site).filter(|fault| fault.is_tried()) {
                let plan = Plan::healthy().with(site.clone(), fault);
                if sim.play(&plan).violation().is_some() {
                    found_by.insert(fault);
                }
            }
        }
    }
    assert_eq!(
        found_by,
        BTreeSet::from([Fault::ClockAhead, Fault::StepsAside, Fault::DeadlineSet])
    );
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

/// The table of bug patterns in the guide: each row is a pattern and what it says of it.
fn patterns() -> Vec<(String, String)> {
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/simulation.md");
    let guide = fs::read_to_string(guide).expect("the guide");
    let (_, section) = guide
        .split_once("\n## Bug patterns\n")
        .expect("its section");
    let section = section
        .split("\n## ")
        .next()
        .expect("at least its beginning");
    let rows = section.lines().filter_map(|line| line.strip_prefix("| "));
    let rows = rows.map(|row| row.split(" | ").collect::<Vec<_>>());
    let rows = rows.filter(|cells| cells.len() == 3 && cells[0] != "#");
    rows.map(|cells| (cells[0].to_owned(), cells[2].to_owned()))
        .collect()
}

/// The planted bugs that a text names: words in backticks that read like the name of a type.
fn named(text: &str) -> BTreeSet<&str> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted
        .filter(|word| {
            word.starts_with(char::is_uppercase) && word.chars().all(char::is_alphanumeric)
        })
        .collect()
}

#[test]
fn the_guide_has_each_pattern_once() {
    let patterns = patterns();
    let numbers: Vec<_> = patterns.iter().map(|(number, _)| number.clone()).collect();
    let engines = (1..=76).map(|number: u32| number.to_string());
    let stores = (1..=28).map(|number: u32| format!("S{number}"));
    assert_eq!(numbers, engines.chain(stores).collect::<Vec<_>>());
}

#[test]
fn the_guide_names_each_planted_bug_at_its_pattern_and_no_others() {
    let patterns = patterns();
    let mut unknown: BTreeSet<_> = patterns.iter().flat_map(|(_, text)| named(text)).collect();
    for mutant in Mutant::ALL {
        unknown.remove(mutant.name());
        let (_, text) = &patterns[usize::from(mutant.pattern()) - 1];
        assert!(
            named(text).contains(mutant.name()),
            "{} is not named at pattern {}",
            mutant.name(),
            mutant.pattern()
        );
    }
    assert!(unknown.is_empty(), "no planted bugs: {unknown:?}");
}

/// Where nothing is planted the guide says why.
#[test]
fn the_guide_says_of_each_pattern_what_stands_for_it() {
    for (number, text) in patterns() {
        let says = ["impossible", "come with", "comes with"];
        let says = says.iter().any(|why| text.contains(why));
        assert!(says || !named(&text).is_empty(), "pattern {number}: {text}");
    }
}
