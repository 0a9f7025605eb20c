//! What a request would come to.

use sagalog_engine::{Rules, WayBack, decide::Context, preview, way_back};
use sagalog_model::{
    AnyDefinition, SagaEvent,
    event::{NodeId, ParkCause},
    expr::ExpressionError,
    log::Time,
};
use sagalog_projections::SagaState;

use super::{Meant, Request};
use crate::{client::CallError, guard::Guard};

/// What a request would come to: decided as whoever drives the saga would, by the rules that hold unless
/// configured otherwise. Nothing is asked, sent or written; only the definition's own functions run.
#[derive(Clone, Debug)]
pub struct Preview {
    /// What would be recorded, in order; nothing if the request says nothing new.
    pub events: Vec<SagaEvent>,
    /// The state that they lead to.
    pub state: SagaState,
    /// The node whose value the definition's own code computes, if only its graph is known
    /// ([`AnyDefinition::of_graph`]): the events are those before it, and what follows is not known.
    pub unknown_from: Option<NodeId>,
}

impl Request {
    /// What it would come to for a saga in this state. `now` counts as no earlier than the saga's newest event.
    ///
    /// # Errors
    /// [`CallError`], as the saga's owner would answer.
    pub fn preview(
        &self,
        state: &SagaState,
        definition: &AnyDefinition,
        now: Time,
    ) -> Result<Preview, CallError> {
        let now = now.max(state.changed_at());
        let Meant::Saga(_, query) = self.clone().meant()? else {
            return Ok(Preview::nothing(state));
        };
        let context = Context {
            definition,
            evaluate: &Guard::unwatched(),
            rules: &Rules::DEFAULT,
            now,
        };
        let (after, mut events) = preview(state, query, context)?;
        let unknown = events.iter().enumerate().find_map(of_unknown_code);
        let Some((known, node)) = unknown else {
            return Ok(Preview {
                events,
                state: after,
                unknown_from: None,
            });
        };
        events.truncate(known);
        let mut state = state.clone();
        for event in &events {
            let applied = state.apply(event, now);
            applied.expect("what was decided on this state follows it");
        }
        Ok(Preview {
            events,
            state,
            unknown_from: Some(node),
        })
    }
}

impl Preview {
    /// How it ends if whatever is asked is answered well; none if it does not go back, or has ended already.
    pub fn way_back(&self, definition: &AnyDefinition) -> Option<WayBack> {
        if self.state.turn().is_none() || self.state.status().is_terminal() {
            return None;
        }
        let context = Context {
            definition,
            evaluate: &Guard::unwatched(),
            rules: &Rules::DEFAULT,
            now: self.state.changed_at(),
        };
        Some(way_back(&self.state, context))
    }

    fn nothing(state: &SagaState) -> Self {
        Self {
            events: Vec::new(),
            state: state.clone(),
            unknown_from: None,
        }
    }
}

/// The place and the node of an event that says only that code is missing here.
fn of_unknown_code((place, event): (usize, &SagaEvent)) -> Option<(usize, NodeId)> {
    let SagaEvent::Parked(parked) = event else {
        return None;
    };
    let is_it = parked.cause == ParkCause::Expression
        && parked.reason == ExpressionError::NoCode.to_string();
    is_it.then(|| (place, parked.node.clone()))
}

#[cfg(test)]
mod tests {
    use sagalog_engine::start;
    use sagalog_model::{Payload, Saga, SagaId, Signal};

    use super::*;

    const PARTY: Saga<u64, String> = Saga::new("party");
    const GUESTS: Signal<u64> = Signal::new("guests");

    fn party() -> AnyDefinition {
        let (mut saga, hosts) = PARTY.define(1);
        let guests = saga
            .signal("came", GUESTS)
            .within(core::time::Duration::from_secs(60));
        let all = hosts
            .and(guests)
            .map(|hosts, guests| format!("{} people", hosts + guests.unwrap_or(0)));
        saga.returns(all).expect("it is sound").into()
    }

    /// A party of two hosts that waits for its guests, at this time.
    fn waiting(at: Time) -> SagaState {
        let definition = party();
        let context = Context {
            definition: &definition,
            evaluate: &Guard::unwatched(),
            rules: &Rules::DEFAULT,
            now: at,
        };
        let input = Payload::parse("2").expect("JSON");
        start(SagaId::new("p-1").expect("a good id"), input, context).0
    }

    fn guests(payload: &str) -> Request {
        Request::Signal {
            saga: "p-1".into(),
            signal: "guests".into(),
            id: "s-1".into(),
            until: None,
            payload: Payload::parse(payload).expect("JSON"),
        }
    }

    fn kinds(preview: &Preview) -> Vec<&'static str> {
        preview.events.iter().map(SagaEvent::kind).collect()
    }

    #[test]
    fn with_the_definition_all_of_it_is_known() {
        let (before, now) = (waiting(Time::from_micros(5)), Time::from_micros(9));
        let preview = guests("3").preview(&before, &party(), now);
        let preview = preview.expect("it is legal");
        assert_eq!(
            kinds(&preview),
            ["SignalReceived", "SignalConsumed", "Completed"]
        );
        assert!(preview.state.status().is_terminal() && preview.unknown_from.is_none());
        assert_eq!(before, waiting(Time::from_micros(5)));
        let held = guests("true").preview(&before, &party(), now);
        assert_eq!(kinds(&held.expect("it is held")), ["InputHeld"]);
    }

    #[test]
    fn with_the_graph_alone_it_is_known_up_to_where_code_computes() {
        let graph = AnyDefinition::of_graph(party().graph().clone());
        let before = waiting(Time::from_micros(5));
        let preview = guests("3").preview(&before, &graph, Time::from_micros(9));
        let preview = preview.expect("it is legal");
        assert_eq!(kinds(&preview), ["SignalReceived", "SignalConsumed"]);
        assert_eq!(preview.unknown_from.as_deref(), Some("return"));
        assert!(!preview.state.status().is_terminal());
    }

    #[test]
    fn what_is_refused_is_refused_as_its_owner_would() {
        let before = waiting(Time::from_micros(5));
        let retry = Request::Retry {
            saga: "p-1".into(),
            id: "r-1".into(),
            by: "ann".into(),
            until: None,
            node: "came".into(),
            reason: None,
        };
        let refused = retry.preview(&before, &party(), Time::from_micros(0));
        let refused = refused.expect_err("nothing is parked").to_string();
        assert_eq!(
            refused,
            "node `came` is not parked; no node of this saga is"
        );
    }
}
