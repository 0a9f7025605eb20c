//! The same plan gives the same run. If it does not, a function of the author reads something that
//! is neither in its input nor in its model: a clock, a random number, a counter.

use sagalog_model::{Graph, Kind, SagaEvent, SagaId};

use super::Violation;
use crate::{report::event, world::World};

/// What a run breaks that comes out otherwise the second time.
pub(crate) const DETERMINISM: &str = "determinism";

/// Runs the plan of a world that has ended again: the first event that differs, if one does.
pub(crate) fn differs_when_repeated(world: &World) -> Option<Violation> {
    let again = world.again();
    let what = events(world, &again)
        .or_else(|| accounts(world, &again))
        .or_else(|| judgements(world, &again))?;
    Some(Violation {
        invariant: DETERMINISM,
        saga: None,
        what,
        at: world.now(),
    })
}

fn events(one: &World, other: &World) -> Option<String> {
    let (mut ones, mut others) = (one.log().saga_events(), other.log().saga_events());
    for number in 1.. {
        let (first, second) = match (ones.next(), others.next()) {
            (None, None) => return None,
            (first, second) if first == second => continue,
            pair => pair,
        };
        let (a, b) = (told(first), told(second));
        let whose = first.or(second).map(|(_, event)| event);
        let whose = whose.and_then(|event| function(one.setup().definition.graph(), event));
        let whose = whose.unwrap_or_else(|| "some function".into());
        return Some(format!(
            "event {number} is {a}, and when the plan is run again it is {b}: {whose} is not \
             deterministic"
        ));
    }
    None
}

fn told(event_of: Option<(&SagaId, &SagaEvent)>) -> String {
    match event_of {
        Some((saga, it)) => format!("`{saga}: {}`", event(it)),
        None => "not there".into(),
    }
}

/// Whose work an event holds.
fn function(graph: &Graph, event: &SagaEvent) -> Option<String> {
    use SagaEvent as E;
    let participant = |node: &str, direction| {
        let kind = &graph.node(graph.find(node)?).kind;
        let Kind::Step { spec, .. } = kind else {
            return None;
        };
        let step = spec.terms(direction)?.name;
        Some(format!("the function of `{step}` ({direction})"))
    };
    let expression = |node: &str| Some(format!("the function at `{node}`"));
    match event {
        E::AttemptSucceeded(e) => participant(&e.node, e.direction),
        E::AttemptFailed(e) => participant(&e.node, e.direction),
        E::AttemptUnknown(e) => participant(&e.node, e.direction),
        E::AttemptAsked(e) => expression(&e.node),
        E::NodeCompleted(e) => expression(&e.node),
        E::ArmChosen(e) => expression(&e.node),
        E::SleepStarted(e) => expression(&e.node),
        E::WaitStarted(e) => expression(&e.node),
        E::Turned(e) => expression(e.node.as_ref()?),
        E::Completed(_) => expression("return"),
        _ => None,
    }
}

/// Effects that no event tells of.
fn accounts(one: &World, other: &World) -> Option<String> {
    let mut pairs = one.ledger().accounts().zip(other.ledger().accounts());
    let ((key, first), (_, second)) = pairs.find(|(first, second)| first != second)?;
    Some(format!(
        "{} is {first:?}, and when the plan is run again it is {second:?}",
        key.as_str()
    ))
}

/// The same run, judged otherwise.
fn judgements(one: &World, other: &World) -> Option<String> {
    let (first, second) = (one.violation(), other.violation());
    let said = |violation: Option<&Violation>| match violation {
        Some(violation) => violation.what.clone(),
        None => "nothing is violated".into(),
    };
    (first != second).then(|| {
        format!(
            "{}; when the plan is run again, with the same events: {}. The property is not \
             deterministic",
            said(first),
            said(second)
        )
    })
}
