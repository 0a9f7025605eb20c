//! Ids that senders chose, beside a model that forgets nothing.

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*};
use sagalog_model::{
    SagaEvent,
    event::{IdKind, IdsForgotten, SignalReceived},
    log::Time,
};
use sagalog_projections::dedup::{Content, Standing};

use crate::trip::{Story, json, second, signal};

/// What happens to a saga that waits for approvals.
#[derive(Clone, Debug)]
enum Happens {
    /// An approval of this number comes.
    Comes(u8),
    /// All that could come until then is forgotten.
    Forgotten(u64),
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        3 => (0..20_u8).prop_map(Happens::Comes),
        1 => (0..30_u64).prop_map(Happens::Forgotten),
    ]
}

/// Each number has its time, or none, whenever it comes.
fn until(number: u8) -> Option<Time> {
    (!number.is_multiple_of(5)).then(|| second(u64::from(number) * 7 % 30))
}

fn approval(number: u8) -> SignalReceived {
    SignalReceived {
        until: until(number),
        ..signal(&format!("mail-{number}"))
    }
}

proptest! {
    #[test]
    fn nothing_is_ever_taken_twice_and_only_what_may_have_come_has_expired(
        happens in vec(happens(), 0..80),
    ) {
        let mut state = Story::waiting().state;
        let mut seen: BTreeMap<u8, bool> = BTreeMap::new();
        let mut watermark = None;
        for (moment, happens) in (1_000..).zip(happens) {
            let (event, is_legal): (SagaEvent, bool) = match happens {
                Happens::Comes(number) => {
                    let is_behind = until(number).is_some() && until(number) <= watermark;
                    let is_new = !seen.contains_key(&number);
                    (approval(number).into(), is_new && !is_behind)
                }
                Happens::Forgotten(until) => {
                    let (of, until) = (IdKind::Signals, second(until));
                    (IdsForgotten { of, until }.into(), watermark < Some(until))
                }
            };
            let mut after = state.clone();
            let applied = after.apply(&event, second(moment));
            prop_assert_eq!(applied.is_ok(), is_legal, "{:?}", applied);
            if !is_legal {
                continue;
            }
            state = after;
            match happens {
                Happens::Comes(number) => drop(seen.insert(number, true)),
                Happens::Forgotten(passed) => {
                    watermark = Some(second(passed));
                    for (number, is_known) in &mut seen {
                        *is_known &= until(*number).is_none() || until(*number) > watermark;
                    }
                }
            }
            for number in 0..20 {
                let content = Content::of("approval", &json("true"));
                let ids = state.signals().ids();
                let standing = ids.standing(&format!("mail-{number}"), until(number), &content);
                let is_behind = until(number).is_some() && until(number) <= watermark;
                let expected = match (seen.get(&number), watermark) {
                    (Some(true), _) => Standing::Known { differs: false },
                    (_, Some(watermark)) if is_behind => Standing::Expired { watermark },
                    _ => Standing::New,
                };
                prop_assert_eq!(standing, expected, "number {}", number);
                prop_assert!(standing != Standing::New || !seen.contains_key(&number));
            }
        }
    }
}
