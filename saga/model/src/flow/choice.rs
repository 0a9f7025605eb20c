//! Arms with payloads, one of which is picked by an exhaustive `match`.

use alloc::{format, vec, vec::Vec};
use core::{marker::PhantomData, panic::Location};

use serde::Serialize;

use super::Flow;
use crate::{
    check::{Fault, Place},
    contract::Json,
    expr::{ExpressionError, Gives, Out, Recipe, Slot, write},
    graph::{BlockIndex, Kind, NodeIndex},
    payload::Payload,
};

/// The arms of [`Flow::choose`] over a value of type `V`; every arm gives a `T`.
pub struct Choice<'flow, V, T> {
    flow: &'flow mut Flow,
    node: NodeIndex,
    place: Place,
    value: Recipe,
    arms: Vec<BlockIndex>,
    types: PhantomData<fn(V) -> T>,
}

/// An arm that is taken with a `P` and gives a `T`. Only a picker uses it.
pub struct Arm<P, T> {
    of: ArmOf,
    types: PhantomData<fn(P) -> T>,
}

/// Which arm is taken, and with what. Only an [`Arm`] makes one.
#[must_use = "return it from the picker"]
pub struct Pick<T> {
    of: ArmOf,
    with: Result<Payload, ExpressionError>,
    types: PhantomData<fn() -> T>,
}

/// What picks the arm: made by [`Choice::pick`], returned from the closure of [`Flow::choose`].
#[must_use = "return it from the closure of choose"]
pub struct Picker<T> {
    choice: Slot,
    pick: Recipe,
    offered: Vec<ArmOf>,
    types: PhantomData<fn() -> T>,
}

/// The arms that a picker picks from: an arm, or a tuple of up to twelve.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an arm or a tuple of arms",
    label = "not arms of this choice",
    note = "give the picker the arms and nothing else: `case.pick((card, gift), |value, (card, gift)| ..)`"
)]
pub trait Arms<T>: sealed::Arms + Copy + Send + Sync + 'static {
    #[doc(hidden)]
    fn list(&self) -> Vec<ArmOf>;
}

/// Which arm of which choice.
#[doc(hidden)]
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct ArmOf {
    choice: Slot,
    index: usize,
}

impl<V: Json, T: 'static> Choice<'_, V, T> {
    /// An arm. Its closure gets the sequence to fill and a handle to what the arm is taken with.
    ///
    /// The type of that handle follows from what the closure gives it to, or else from how the
    /// picker takes the arm; a closure that looks into it first says it: `|saga, token: Out<Token>|`.
    #[track_caller]
    pub fn arm<P, E: Gives<T>>(
        &mut self,
        label: &str,
        body: impl FnOnce(&mut Flow, Out<P>) -> E,
    ) -> Arm<P, T> {
        let block = self.flow.arm(Location::caller(), self.node, label, body);
        self.flow.add_arm(self.node, block);
        self.arms.push(block);
        Arm {
            of: ArmOf {
                choice: self.slot(),
                index: self.arms.len() - 1,
            },
            types: PhantomData,
        }
    }

    /// Says how the arm is picked: by a function of the value and the arms, which captures nothing.
    pub fn pick<A: Arms<T>>(&mut self, arms: A, picker: fn(V, A) -> Pick<T>) -> Picker<T> {
        let choice = self.slot();
        let pick = Recipe::computed(vec![self.value.clone()], move |parts, reading| {
            picker(parts[0].read(reading)?, arms).written(choice)
        });
        Picker {
            choice,
            pick,
            offered: arms.list(),
            types: PhantomData,
        }
    }
}

impl<'flow, V, T> Choice<'flow, V, T> {
    pub(super) fn new(flow: &'flow mut Flow, node: NodeIndex, place: Place, value: Recipe) -> Self {
        Self {
            flow,
            node,
            place,
            value,
            arms: vec![],
            types: PhantomData,
        }
    }

    pub(super) fn finish(mut self, picker: Picker<T>) {
        self.refuse_foreign(&picker);
        self.refuse_never_picked(&picker.offered);
        let (source, code) = self.flow.admit(self.place, picker.pick);
        if let Kind::Choose { pick, .. } = self.flow.kind(self.node) {
            *pick = source;
        }
        self.flow.nodes[self.node.0 as usize].code = code;
    }

    fn refuse_foreign(&mut self, picker: &Picker<T>) {
        let own = self.slot();
        if picker.choice != own || picker.offered.iter().any(|arm| arm.choice != own) {
            let what = format!(
                "`{}` picks an arm of another choice; give its picker its own arms",
                self.flow.graph.node(self.node).id
            );
            self.flow.faults.push(Fault::new(self.place, what));
        }
    }

    fn refuse_never_picked(&mut self, offered: &[ArmOf]) {
        let choice = self.slot();
        for (index, block) in self.arms.iter().enumerate() {
            if offered.contains(&ArmOf { choice, index }) {
                continue;
            }
            let what = format!(
                "the arm `{}` of `{}` can never run: its picker does not get it; add it to `pick((..), ..)`",
                self.flow.graph.block(*block).label,
                self.flow.graph.node(self.node).id,
            );
            let place = self.flow.blocks[block.0 as usize].place;
            self.flow.faults.push(Fault::new(place, what));
        }
    }

    fn slot(&self) -> Slot {
        self.flow.slot(self.node)
    }
}

impl<P, T> Clone for Arm<P, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P, T> Copy for Arm<P, T> {}

impl<P: Json, T> Arm<P, T> {
    /// Takes this arm, with this payload.
    pub fn with(self, payload: P) -> Pick<T> {
        Pick {
            of: self.of,
            with: write(&payload),
            types: PhantomData,
        }
    }
}

impl<T> Arm<(), T> {
    /// Takes this arm, which has no payload.
    pub fn take(self) -> Pick<T> {
        self.with(())
    }
}

impl<T> Pick<T> {
    fn written(self, choice: Slot) -> Result<Payload, ExpressionError> {
        if self.of.choice != choice {
            return Err(ExpressionError::ForeignArm);
        }
        write(&Picked {
            arm: self.of.index,
            with: self.with?,
        })
    }
}

/// What a choice's code gives; see [`Kind::Choose`].
#[derive(Serialize)]
pub(super) struct Picked<P> {
    pub(super) arm: usize,
    pub(super) with: P,
}

impl<P: 'static, T: 'static> Arms<T> for Arm<P, T> {
    fn list(&self) -> Vec<ArmOf> {
        vec![self.of]
    }
}

macro_rules! tuples_of_arms {
    ($($type:ident $at:tt),+) => {
        impl<T: 'static, $($type: 'static),+> Arms<T> for ($(Arm<$type, T>,)+) {
            fn list(&self) -> Vec<ArmOf> {
                vec![$(self.$at.of),+]
            }
        }

        impl<T, $($type),+> sealed::Arms for ($(Arm<$type, T>,)+) {}
    };
}

tuples_of_arms!(A 0);
tuples_of_arms!(A 0, B 1);
tuples_of_arms!(A 0, B 1, C 2);
tuples_of_arms!(A 0, B 1, C 2, D 3);
tuples_of_arms!(A 0, B 1, C 2, D 3, E 4);
tuples_of_arms!(A 0, B 1, C 2, D 3, E 4, F 5);
tuples_of_arms!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuples_of_arms!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
tuples_of_arms!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8);
tuples_of_arms!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9);
tuples_of_arms!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10);
tuples_of_arms!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11);

mod sealed {
    pub trait Arms {}
    impl<P, T> Arms for super::Arm<P, T> {}
}
