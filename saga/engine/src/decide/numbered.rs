//! Numbered signals: each counts once, and they are taken in the order of their numbers.

use alloc::{string::ToString, sync::Arc, vec::Vec};
use core::ops::RangeInclusive;

use sagalog_model::{
    GapEnd, Gaps, Numbered, Payload,
    event::{
        GapAbandoned, GapOpened, GapRejected, GapTimedOut, MissingAsked, NumberedSignalReceived,
        SignalAdmitted, SignalAhead, SignalLate,
    },
};
use sagalog_projections::sequence::{ProducerIndex, Standing, id_of};

use super::{Decider, Refusal};

impl Decider<'_> {
    pub(super) fn numbered(&mut self, input: &Numbered) -> Result<(), Refusal> {
        let Numbered {
            signal,
            producer,
            number,
            payload,
        } = input;
        #[cfg(feature = "mutants")]
        if mutant!(self.context.rules, TakesProducersForOne)
            && self
                .state
                .sequences()
                .producers()
                .any(|(_, known)| known.watermark >= *number)
        {
            return Ok(());
        }
        let sequences = self.state.sequences();
        match sequences.standing(producer, *number, signal, payload) {
            Standing::Known { differs: false } => Ok(()),
            Standing::Known { differs: true } => Err(Refusal::OtherContentOfNumber {
                producer: producer.to_string(),
                number: *number,
            }),
            Standing::GivenUp => Err(Refusal::GivenUp {
                producer: producer.to_string(),
                number: *number,
            }),
            Standing::Next => {
                self.may_come(input)?;
                self.emit(NumberedSignalReceived {
                    signal: signal.clone(),
                    producer: producer.clone(),
                    number: *number,
                    payload: payload.clone(),
                });
                self.came(producer, Vec::from([(*number, signal.clone())]));
                Ok(())
            }
            Standing::Ahead if mutant!(self.context.rules, TakesNumbersAsTheyCome) => {
                self.signal(signal, &id_of(producer, *number), None, payload)
            }
            Standing::Ahead => {
                self.may_come(input)?;
                self.may_be_kept(producer, *number, payload)?;
                self.emit(SignalAhead {
                    signal: signal.clone(),
                    producer: producer.clone(),
                    number: *number,
                    payload: payload.clone(),
                });
                self.wait_for_missing(producer);
                Ok(())
            }
        }
    }

    fn may_come(&self, input: &Numbered) -> Result<(), Refusal> {
        self.not_ended()?;
        self.is_known(&input.signal)?;
        let sequences = self.state.sequences();
        if !sequences.takes_producer(&input.producer) {
            return Err(Refusal::TooManyProducers);
        }
        self.may_wait()?;
        self.can_be_read(&input.signal, &input.payload)
    }

    fn may_be_kept(&self, producer: &str, number: u64, payload: &Payload) -> Result<(), Refusal> {
        if self.state.sequences().takes_ahead(payload) {
            return Ok(());
        }
        Err(Refusal::TooFarAhead {
            producer: producer.into(),
            number,
        })
    }

    /// What was kept behind the newest number comes in with it, as far as nothing is missing; then
    /// whatever waits for any of it goes on.
    pub(super) fn came(&mut self, producer: &Arc<str>, mut came: Vec<(u64, Arc<str>)>) {
        while let Some((number, signal)) = self.next_kept(producer) {
            self.emit(SignalAdmitted {
                producer: producer.clone(),
                number,
            });
            came.push((number, signal));
        }
        self.wait_for_missing(producer);
        let (is_kept, mut is_awaited) = (came.len() > 1, false);
        for (number, signal) in came {
            if self.is_awaited(&signal) {
                is_awaited = true;
            } else {
                self.emit(SignalLate {
                    id: id_of(producer, number),
                });
            }
        }
        if is_awaited && !(is_kept && mutant!(self.context.rules, AdmitsWithoutAWakeUp)) {
            self.go_on();
        }
    }

    /// What is kept of a producer and is next.
    fn next_kept(&self, producer: &str) -> Option<(u64, Arc<str>)> {
        let (_, producer) = self.state.sequences().find(producer)?;
        let (number, kept) = producer.ahead().first_key_value()?;
        (*number == producer.watermark + 1).then(|| (*number, kept.signal.clone()))
    }

    /// Begins to wait for what is missing now, unless it is waited for already.
    fn wait_for_missing(&mut self, producer: &Arc<str>) {
        let Some((index, known)) = self.state.sequences().find(producer) else {
            return;
        };
        if let (Some(missing), None) = (known.missing(), known.gap) {
            let (from, to) = missing.into_inner();
            let until = self.context.now.after(self.gaps(index).within);
            if mutant!(self.context.rules, WaitsForMissingForEver) {
                return;
            }
            #[cfg(feature = "mutants")]
            let until = if mutant!(self.context.rules, CountsTheGapFromTheStart) {
                self.state.started_at().after(self.gaps(index).within)
            } else {
                until
            };
            self.emit(GapOpened {
                producer: producer.clone(),
                from,
                to,
                until,
            });
        }
    }

    /// What is done about the numbers that are missing before the first that is kept.
    fn gaps(&self, producer: ProducerIndex) -> Gaps {
        let kept = self.state.sequences().producer(producer).ahead();
        let (_, first) = kept
            .first_key_value()
            .expect("a gap is before what is kept");
        self.state.graph().gaps(&first.signal)
    }

    pub(super) fn gap_timed_out(&mut self, index: ProducerIndex) {
        let known = self.state.sequences().producer(index);
        let producer = known.name.clone();
        let missing = known.missing().expect("a gap misses something");
        let asked = known.gap.map_or(0, |gap| gap.asked);
        self.emit(GapTimedOut {
            producer: producer.clone(),
        });
        let gaps = self.gaps(index);
        let once_more = mutant!(self.context.rules, AsksForMissingOnceTooOften);
        if asked < gaps.asks + u32::from(once_more) {
            return self.ask_for_missing(producer, missing, gaps);
        }
        let (from, to) = missing.into_inner();
        match gaps.then {
            GapEnd::Release if mutant!(self.context.rules, AbandonsGapsSilently) => {
                let kept = self.state.sequences().producer(index).ahead().clone();
                for (number, kept) in kept {
                    let id = id_of(&producer, number);
                    let _ = self.signal(&kept.signal, &id, None, &kept.payload);
                }
            }
            GapEnd::Release => {
                self.emit(GapAbandoned {
                    producer: producer.clone(),
                    from,
                    to,
                });
                self.came(&producer, Vec::new());
            }
            GapEnd::Reject => {
                let kept = self.state.sequences().producer(index).ahead();
                let rejected = kept.keys().copied().collect();
                self.emit(GapRejected {
                    producer,
                    from,
                    to,
                    rejected,
                });
            }
        }
    }

    fn ask_for_missing(&mut self, producer: Arc<str>, missing: RangeInclusive<u64>, gaps: Gaps) {
        let (from, to) = missing.into_inner();
        self.emit(MissingAsked {
            producer,
            from,
            to,
            until: self.context.now.after(gaps.within),
        });
    }
}
