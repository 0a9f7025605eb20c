//! What a definition is refused for.

mod handles;
pub(crate) mod names;
mod order;
mod parts;

use alloc::{format, string::String, vec, vec::Vec};
use core::{fmt, panic::Location};

use crate::{flow::Flow, graph::DefinitionVersion};

/// A definition that is refused, with all its faults.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub struct BadDefinition {
    /// The saga's name.
    pub saga: String,
    /// The definition's version.
    pub version: DefinitionVersion,
    /// What is wrong with it, in the order of the source.
    pub faults: Vec<Fault>,
}

/// One thing that is wrong with a definition.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Fault {
    /// The source file.
    pub file: &'static str,
    /// The line in it.
    pub line: u32,
    /// What is wrong, and how to mend it.
    pub what: String,
}

/// A place in the source.
pub(crate) type Place = &'static Location<'static>;

impl Fault {
    pub(crate) fn new(place: Place, what: impl Into<String>) -> Self {
        Self {
            file: place.file(),
            line: place.line(),
            what: what.into(),
        }
    }
}

impl fmt::Display for BadDefinition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            saga,
            version,
            faults,
        } = self;
        write!(f, "definition {version} of saga `{saga}` is refused:")?;
        faults.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.what)
    }
}

/// The most nodes that a definition has.
pub const MAX_NODES: usize = 1_000;

/// How deep branches are nested at most.
pub const MAX_DEPTH: usize = 32;

/// Looks at a finished flow as a whole. What is wrong with a single place was noted there.
pub(crate) fn check(flow: &Flow) -> Result<(), BadDefinition> {
    let mut faults = flow.faults.clone();
    // What is too large is not looked at any closer: whatever walks a graph relies on its bounds.
    match too_large(flow) {
        Some(fault) => faults.push(fault),
        None => {
            names::check(flow, &mut faults);
            handles::check(flow, &mut faults);
            order::check(flow, &mut faults);
            parts::check(flow, &mut faults);
        }
    }
    if faults.is_empty() {
        return Ok(());
    }
    faults.sort();
    faults.dedup();
    Err(BadDefinition {
        saga: flow.graph.saga.clone(),
        version: flow.graph.version,
        faults,
    })
}

fn too_large(flow: &Flow) -> Option<Fault> {
    if let Some(beyond) = flow.nodes.get(MAX_NODES) {
        let count = flow.nodes.len();
        let what = format!(
            "the definition has {count} nodes, and {MAX_NODES} is the most; split it in two"
        );
        return Some(Fault::new(beyond.place, what));
    }
    let mut depths = vec![0];
    for (block, aside) in flow.graph.blocks.iter().zip(&flow.blocks).skip(1) {
        // A block is built after the one it is in.
        let outer = block.inside.map(|node| flow.graph.node(node).block);
        let depth = outer.map_or(0, |outer| depths[outer.0 as usize]) + 1;
        if depth > MAX_DEPTH {
            let what = format!(
                "branches are nested {depth} deep here, and {MAX_DEPTH} is the most; build the inner ones side by side"
            );
            return Some(Fault::new(aside.place, what));
        }
        depths.push(depth);
    }
    None
}

#[cfg(test)]
mod tests {
    use alloc::{collections::BTreeMap, string::ToString};
    use core::time::Duration;

    use super::*;
    use crate::{Definition, Retry, Saga, Signal, Step, just};

    const SHOP: Saga<u64, u64> = Saga::new("shop");
    const GO: Signal<u64> = Signal::new("go");
    const READ: Step<u64, u64> = Step::new("stock.read").read_only();
    const TAKE: Step<u64, u64> = Step::new("stock.take").compensatable();
    const TAKE_ONCE: Step<u64, u64> = Step::new("stock.take").compensatable().retry(Retry::NEVER);
    const SEND: Step<u64, u64> = Step::new("mail.send").retryable();

    /// The faults, with lines counted from the one given.
    fn faults(from: u32, definition: Result<Definition<u64, u64>, BadDefinition>) -> String {
        let faults = definition.expect_err("it is refused").faults;
        let told = faults
            .iter()
            .map(|fault| format!("{}: {}\n", fault.line - from, fault.what));
        let told: String = told.collect();
        (from..from + 99).rev().fold(told, |told, line| {
            told.replace(&format!("line {line}"), &format!("line {}", line - from))
        })
    }

    /// What the only fault of a definition says.
    fn fault(definition: Result<Definition<u64, u64>, BadDefinition>) -> String {
        let faults = definition.expect_err("it is refused").faults;
        let [fault] = &*faults else {
            panic!("one fault was expected: {faults:?}")
        };
        fault.what.clone()
    }

    #[test]
    fn what_is_kept_alive_ends_some_day() {
        const SCAN: Step<u64, u64> = Step::new("lab.scan")
            .compensatable()
            .heartbeat(Duration::from_secs(60));
        let (mut saga, n) = SHOP.define(1);
        let scanned = saga.step("scan", SCAN, n);
        insta::assert_snapshot!(fault(saga.returns(scanned)), @"`scan` could be kept alive for ever; add `.deadline(span)` to `lab.scan`, which has a heartbeat");
    }

    #[test]
    #[rustfmt::skip]
    fn all_faults_are_told_at_once_in_the_order_of_the_source() {
        let from = line!();
        let (_, foreign) = SHOP.define(1);
        let (mut saga, n) = Saga::<u64, u64>::new("my shop").define(0);
        saga.step("one", TAKE, n);
        saga.step("one", TAKE, n);
        saga.step("two", TAKE_ONCE, n);
        saga.step("", READ, n);
        saga.step("a/b c", READ, n);
        saga.step("foreign", READ, foreign.and(n).map(|a, b| a + b));
        saga.value("constant", just(BTreeMap::from([((1, 2), 3)])));
        let mut leaked = None;
        saga.when("maybe", n.map(|n| n > 3), |saga| {
            let inside = saga.step("inside", READ, n);
            leaked = Some(inside);
            saga.pivot();
            inside
        });
        saga.step("outside", READ, leaked.expect("it was set"));
        let (left, _) = saga.all(|all| {
            let left = all.step("left", READ, n);
            (left, all.step("right", READ, left))
        });
        saga.all(|_| ());
        let _ = saga.signal("forever", GO);
        saga.choose("choice", left, |case| {
            let first = case.arm("first", |_, _| just(1));
            let same = case.arm("first", |_, _| just(1));
            let _unused = case.arm("unused", |saga, _: crate::Out<()>| {
                saga.fail::<u64>("stop", just("no".into()));
                saga.step("never", READ, n)
            });
            case.pick((first, same), |n, (first, same)| if n > 1 { first.take() } else { same.take() })
        });
        saga.step("too-early", SEND, n);
        saga.pivot();
        saga.step("too-late", TAKE, n);
        saga.check("checked", n.map(Ok));
        saga.fail::<()>("failed", just("no".into()));
        saga.sleep("unreached", Duration::ZERO);
        saga.pivot();
        insta::assert_snapshot!(faults(from, saga.returns(n)), @r#"
        2: the saga name `my shop` contains a space or a control character; take 1 to 100 bytes without `/`, spaces and control characters
        2: the version is 0; versions count from 1
        4: the id `one` is taken, at line 3
        5: `stock.take` is another contract here than at line 3; share one constant, or give one of them another name
        6: the id `` is empty; take 1 to 100 bytes without `/`, spaces and control characters
        7: the id `a/b c` contains `/`; take 1 to 100 bytes without `/`, spaces and control characters
        8: a handle of another definition is used here; use handles of this one only
        9: this constant cannot be written as JSON: key must be a string
        14: the pivot stands inside a branch; move it to the main line
        17: `inside` comes out of the arm `yes` of `maybe`, which may not run; use what `maybe` gives
        20: `left` belongs to another branch of `all`, which runs beside this one; use it after `all`, or put both in one branch
        22: `all-2` has no branches; add `all.branch(..)` or `all.step(..)`
        23: `forever` waits for a signal without a deadline; add `.within(span)`
        26: there is an arm `first` already, at line 25
        27: the arm `unused` of `choice` can never run: its picker does not get it; add it to `pick((..), ..)`
        29: `never` never runs, as `stop` before it always turns the saga; leave it out
        33: `too-early` is retryable, but before the pivot a later failure would have to undo it; make it compensatable, or move it after the pivot
        35: `too-late` is compensatable, but after the pivot nothing is compensated; make it retryable, or move it before the pivot
        36: `checked` can turn the saga, but after the pivot nothing is undone; move it before the pivot
        37: `failed` can turn the saga, but after the pivot nothing is undone; move it before the pivot
        38: `unreached` never runs, as `failed` before it always turns the saga; leave it out
        39: this is a second pivot; leave one out
        "#);
    }

    #[test]
    fn a_refusal_names_the_definition_and_the_places() {
        let (mut saga, n) = SHOP.define(3);
        saga.step("here", SEND, n);
        let line = line!() - 1;
        let error = saga.returns(n).expect_err("there is no pivot").to_string();
        let place = format!("{}:{line}", file!());
        assert_eq!(
            error,
            format!(
                "definition 3 of saga `shop` is refused:\n  {place}: `here` is retryable, but there is no pivot before it; call `pivot()` before it, or make it compensatable"
            )
        );
    }

    #[test]
    fn what_comes_out_of_an_arm_is_not_for_the_other_arms() {
        let (mut saga, n) = SHOP.define(1);
        let given = saga.choose("size", n, |case| {
            let mut leaked = n;
            let small = case.arm("small", |saga, _| {
                leaked = saga.step("ask", READ, n);
                leaked
            });
            let big = case.arm("big", |saga, _| saga.value("more", leaked.map(|n| n + 1)));
            case.pick((small, big), |n, (small, big)| match n {
                0..10 => small.take(),
                _ => big.take(),
            })
        });
        assert_eq!(
            fault(saga.returns(given)),
            "`ask` belongs to another arm of `size`, and only one of them runs; use what is common to both"
        );
    }

    #[test]
    fn what_comes_out_of_branches_is_read_after_all_of_them() {
        let (mut saga, n) = SHOP.define(1);
        let mut within = None;
        let branch = saga.all(|all| {
            all.branch(|saga| {
                within = Some(saga.step("one", READ, n));
                saga.step("two", READ, n)
            })
        });
        let within = within.expect("it was set");
        assert!(saga.returns(within.and(branch).map(|a, b| a + b)).is_ok());
    }

    #[test]
    fn a_picker_picks_from_the_arms_of_its_own_choice() {
        let (mut saga, n) = SHOP.define(1);
        let mut stolen = None;
        let one = saga.choose("one", n, |case| {
            let arm = case.arm("any", |_, _| just(1));
            stolen = Some(arm);
            case.pick(arm, |_, arm| arm.take())
        });
        saga.choose("two", n, |case| {
            let _own = case.arm("any", |_, _: crate::Out<()>| just(1));
            case.pick(stolen.expect("it was set"), |_, arm| arm.take())
        });
        let faults = saga.returns(one).expect_err("it is refused").faults;
        let whats: Vec<_> = faults.iter().map(|fault| &*fault.what).collect();
        assert_eq!(
            whats,
            [
                "`two` picks an arm of another choice; give its picker its own arms",
                "the arm `any` of `two` can never run: its picker does not get it; add it to `pick((..), ..)`",
            ]
        );
    }

    #[test]
    fn a_shared_part_used_twice_must_be_told_its_ids() {
        fn part(saga: &mut Flow, n: crate::Out<u64>) -> crate::Out<u64> {
            saga.step("ask", READ, n)
        }
        let (mut saga, n) = SHOP.define(1);
        part(&mut saga, n);
        let twice = part(&mut saga, n);
        assert_eq!(
            fault(saga.returns(twice)),
            "this line gives the id `ask` twice; let its caller choose the id"
        );
    }

    #[test]
    fn an_option_that_json_cannot_tell_apart_is_not_read() {
        const SENT: Step<u64, ()> = Step::new("mail.sent").read_only();
        const STOP: Signal<()> = Signal::new("stop");
        let definition = |reads: bool| {
            let (mut saga, n) = SHOP.define(1);
            let sent = saga.when("news", just(true), |saga| saga.step("mail", SENT, n));
            let stopped = saga.signal("stopped", STOP).within(Duration::ZERO);
            if reads {
                let both = sent.and(stopped).map(|a, b| (a.is_some(), b.is_some()));
                saga.value("both", both);
            }
            saga.returns(n)
        };
        assert!(definition(false).is_ok(), "nobody reads them");
        let faults = definition(true).expect_err("it is refused").faults;
        let whats: Vec<_> = faults.iter().map(|fault| &*fault.what).collect();
        assert_eq!(
            whats,
            [
                "`news` gives `null` whether its branch ran or not, as what the branch gives can be `null`; let it give something else, such as `just(true)`",
                "`stopped` gives `null` for a signal as well as for none, as the payload of `stop` can be `null`; give the signal another payload, such as `bool`",
            ]
        );
    }

    #[test]
    fn an_id_that_is_given_without_being_asked_for_is_left_free() {
        let (mut saga, n) = SHOP.define(1);
        let line = line!() + 1;
        saga.step("pivot", READ, n);
        saga.pivot();
        assert_eq!(
            fault(saga.returns(n)),
            format!("the id `pivot` belongs to what stands here; give another one to line {line}")
        );
    }

    #[test]
    fn a_saga_may_always_fail() {
        let (mut saga, _) = SHOP.define(1);
        let never = saga.fail("stop", just("no".to_string()));
        assert!(saga.returns(never).is_ok());
    }

    #[test]
    fn nothing_follows_where_every_way_fails() {
        let (mut saga, n) = SHOP.define(1);
        saga.choose::<_, u64>("size", n, |case| {
            let one = case.arm("one", |saga, _| saga.fail("no", just("no".into())));
            case.pick(one, |_, one| one.take())
        });
        saga.step("ask", READ, n);
        assert_eq!(
            fault(saga.returns(n)),
            "`ask` never runs, as `size` before it always turns the saga; leave it out"
        );
    }

    #[test]
    fn a_definition_has_a_thousand_nodes_at_most() {
        let with = |nodes: usize| {
            let (mut saga, n) = SHOP.define(1);
            for at in 0..nodes {
                saga.value(&format!("v{at}"), n);
            }
            saga.returns(n)
        };
        assert!(with(MAX_NODES - 2).is_ok(), "with start and return");
        assert_eq!(
            fault(with(MAX_NODES - 1)),
            "the definition has 1001 nodes, and 1000 is the most; split it in two"
        );
    }

    #[test]
    fn branches_are_nested_thirty_two_deep_at_most() {
        fn nested(saga: &mut Flow, depth: usize, n: crate::Out<u64>) {
            if depth > 0 {
                saga.when(&format!("when-{depth}"), just(true), |saga| {
                    nested(saga, depth - 1, n);
                    n
                });
            }
        }
        let with = |depth: usize| {
            let (mut saga, n) = SHOP.define(1);
            nested(&mut saga, depth, n);
            saga.returns(n)
        };
        assert!(with(MAX_DEPTH).is_ok());
        assert_eq!(
            fault(with(MAX_DEPTH + 1)),
            "branches are nested 33 deep here, and 32 is the most; build the inner ones side by side"
        );
    }

    #[test]
    fn ids_are_short_and_hold_no_separators() {
        for wrong in ["", "a/b", "a b", "a\tb", "a\u{0}b", &"x".repeat(101)] {
            let (mut saga, n) = SHOP.define(1);
            saga.step(wrong, READ, n);
            assert!(fault(saga.returns(n)).starts_with("the id `"), "{wrong}");
        }
    }
}
