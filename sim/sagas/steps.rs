//! The contracts of their steps, one for each way in which the engine treats them differently.

use std::time::Duration;

use sagalog_model::{AnyDefinition, BadDefinition, Definition, Json, Retry, Signal, Step, Undo};

use super::Sim;

pub const SECOND: Duration = Duration::from_secs(1);
const SOON: Retry = Retry::fixed(SECOND).attempts(3);

pub const DO: Step<u32, u32> = Step::new("x.do")
    .compensatable()
    .timeout(SECOND)
    .retry(SOON)
    .undo_timeout(SECOND)
    .undo_retry(SOON);
/// Never asked twice.
pub const ONCE: Step<u32, u32> = Step::new("x.once")
    .compensatable()
    .timeout(SECOND)
    .retry(Retry::NEVER)
    .undo_timeout(SECOND)
    .undo_retry(SOON);
pub const LOOK: Step<u32, u32> = Step::new("x.look").read_only().timeout(SECOND).retry(SOON);
pub const PAY: Step<u32, u32> = Step::new("x.pay")
    .compensatable()
    .probed()
    .timeout(SECOND)
    .retry(SOON)
    .undo_timeout(SECOND)
    .undo_retry(SOON);
pub const SHIP: Step<u32, u32> = Step::new("x.ship").retryable().timeout(SECOND).retry(SOON);
/// Must be done within its own deadline.
pub const HURRY: Step<u32, u32> = Step::new("x.hurry")
    .compensatable()
    .timeout(SECOND)
    .retry(Retry::fixed(SECOND).attempts(5))
    .deadline(Duration::from_millis(2_500))
    .undo_timeout(SECOND)
    .undo_retry(SOON);
/// Asked again at once.
pub const AGAIN: Step<u32, u32> = Step::new("x.again")
    .compensatable()
    .timeout(SECOND)
    .retry(Retry::fixed(Duration::ZERO).attempts(3))
    .undo_timeout(SECOND)
    .undo_retry(SOON);
/// Asked again at once, within its own deadline.
pub const RUSH: Step<u32, u32> = Step::new("x.rush")
    .compensatable()
    .timeout(SECOND)
    .retry(Retry::fixed(Duration::ZERO).attempts(4))
    .deadline(Duration::from_millis(2_500))
    .undo_timeout(SECOND)
    .undo_retry(SOON);
pub const VOUCHER: Step<Undo<u32, u32>, ()> = Step::new("x.voucher")
    .retryable()
    .timeout(SECOND)
    .retry(SOON);
/// Its compensation has an alternative.
pub const CHARGE: Step<u32, u32> = Step::new("x.charge")
    .compensatable()
    .timeout(SECOND)
    .retry(SOON)
    .undo_timeout(SECOND)
    .undo_retry(Retry::NEVER)
    .or(VOUCHER);
/// Its effect is left if it cannot be undone.
pub const MAIL: Step<u32, u32> = Step::new("x.mail")
    .compensatable()
    .timeout(SECOND)
    .retry(SOON)
    .undo_timeout(SECOND)
    .undo_retry(Retry::NEVER)
    .or_skip("a mail that was read cannot be taken back");
/// Its compensation is asked once, then a person is needed.
pub const SIGN: Step<u32, u32> = Step::new("x.sign")
    .compensatable()
    .timeout(SECOND)
    .retry(SOON)
    .undo_timeout(SECOND)
    .undo_retry(Retry::NEVER);
/// What stands behind a pivot and is asked once, then a person is needed.
pub const TAIL: Step<u32, u32> = Step::new("x.tail")
    .retryable()
    .timeout(SECOND)
    .retry(Retry::NEVER);
/// Gives a text where a number is awaited.
pub const MUTE: Step<u32, u32> = Step::new("x.mute")
    .compensatable()
    .timeout(SECOND)
    .retry(SOON)
    .undo_timeout(SECOND)
    .undo_retry(SOON);

/// What the participant of `MUTE` takes it for.
const TEXT: Step<u32, String> = Step::new("x.mute").compensatable();

pub const APPROVAL: Signal<bool> = Signal::new("approval");

/// A saga with this input, whose participants do what they are asked.
pub fn sim<I: Json, O>(definition: Result<Definition<I, O>, BadDefinition>, input: &I) -> Sim
where
    Definition<I, O>: Into<AnyDefinition>,
{
    Sim::of(definition.expect("a good definition"), input)
        .gives(DO, |n| n + 1)
        .gives(ONCE, |n| n + 10)
        .gives(LOOK, |n| n)
        .gives(PAY, |n| n + 100)
        .gives(SHIP, |n| n)
        .gives(HURRY, |n| n + 2)
        .gives(AGAIN, |n| n + 4)
        .gives(RUSH, |n| n + 9)
        .gives(CHARGE, |n| n + 3)
        .gives(MAIL, |n| n + 5)
        .gives(SIGN, |n| n + 6)
        .gives(TAIL, |n| n)
        .gives(TEXT, |n| format!("{n} or so"))
}
