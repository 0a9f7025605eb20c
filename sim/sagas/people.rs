//! Nodes that wait for a person, and people who come.

use std::time::Duration;

use sagalog_model::Saga;

use super::{Mend, Sim, all_ended, all_or_nothing, branches, is_by_hand, steps::*};

/// A participant gives what its reader cannot read: somebody tries again in vain, then does it by hand.
pub fn unreadable() -> Sim {
    const SAGA: Saga<u32, u32> = Saga::new("unreadable");
    let (mut saga, n) = SAGA.define(1);
    let asked = saga.step("ask", MUTE, n);
    let (left, right) = saga.all(|all| {
        let left = all.branch(|saga| {
            let sum = saga.value("sum", asked.map(|asked| asked + 1));
            saga.step("book", PAY, sum)
        });
        (left, all.step("beside", DO, n))
    });
    let last = saga.step(
        "last",
        ONCE,
        left.and(right).map(|left, right| left + right),
    );
    sim(saga.returns(last), &1)
        .mends(SECOND, |_, times| match times {
            1 => Mend::Retry,
            _ => Mend::resolve(&7),
        })
        .always("nothing is booked that was not asked", |world| {
            world.net("book") <= world.net("ask") || is_by_hand(world, "book")
        })
        .eventually("every saga ends", all_ended)
}

/// A step that was never asked is done by hand; if the saga turns after that, its end names it.
pub fn hand_made() -> Sim {
    const SAGA: Saga<u32, u32> = Saga::new("hand-made");
    let (mut saga, n) = SAGA.define(1);
    saga.deadline(6 * SECOND);
    let asked = saga.step("ask", MUTE, n);
    let made = saga.step("make", DO, asked.map(|asked| asked + 1));
    let paid = saga.step("pay", ONCE, made);
    let wrapped = saga.step("wrap", PAY, paid);
    sim(saga.returns(wrapped), &1)
        .mends(SECOND, |_, _| Mend::resolve(&7))
        .always("nothing is wrapped that is not paid", |world| {
            world.net("wrap") <= world.net("pay") || is_by_hand(world, "wrap")
        })
        .eventually("every saga ends", all_ended)
        .eventually(
            "an end names what was made by hand, and nothing else",
            |world| {
                world
                    .sagas()
                    .all(|saga| saga.left().iter().all(|node| &**node == "make"))
            },
        )
}

/// Somebody gives a saga up in which a node waits for a person.
pub fn given_up() -> Sim {
    const SAGA: Saga<u32, u32> = Saga::new("given-up");
    let (mut saga, n) = SAGA.define(1);
    let kept = saga.step("keep", DO, n);
    let (asked, beside) = saga.all(|all| {
        let asked = all.branch(|saga| {
            let used = saga.when("ask-if-odd", n.map(|n| n % 2 == 1), |saga| {
                let asked = saga.step("ask", MUTE, kept);
                saga.step("use", PAY, asked.map(|asked| asked + 1))
            });
            used.map(|used| used.unwrap_or(0))
        });
        let beside = all.branch(|saga| {
            let look = saga.step("look", LOOK, kept);
            saga.sleep("nap", SECOND);
            saga.step("beside", AGAIN, look)
        });
        (asked, beside)
    });
    sim(
        saga.returns(asked.and(beside).map(|asked, beside| asked + beside)),
        &1,
    )
    .and_saga(&2)
    .mends(SECOND, |_, _| Mend::Cancel)
    .eventually("what is kept is completed", |world| {
        all_or_nothing(world, &["keep", "beside"])
    })
}

/// Somebody has a saga stand still, and an operator has it undone before it goes on.
pub fn paused_and_undone() -> Sim {
    let soon = Duration::from_millis;
    branches::fork()
        .pause(soon(4), soon(60_000))
        .compensate(soon(9))
}
