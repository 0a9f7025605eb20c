//! Handles, and the pure expressions that are built from them.
//!
//! An expression is made of handles, constants and `fn` pointers. It captures nothing, so nothing
//! flows into a saga that is neither in its log nor in its definition.

mod recipe;

use alloc::{string::String, sync::Arc, vec, vec::Vec};
use core::{marker::PhantomData, panic::Location, time::Duration};

use serde::Serialize;

#[doc(hidden)]
pub use self::recipe::Recipe;
pub(crate) use self::recipe::{Code, Making, Reading, Slot, write};
use crate::{contract::Json, graph::NodeIndex, payload::Payload};

/// A handle to what a node gives. It is copied freely; where the node may not have run, the
/// definition is refused.
pub struct Out<T> {
    pub(crate) slot: Slot,
    types: PhantomData<fn() -> T>,
}

/// A pure function of handles and constants, evaluated once, when the node that uses it is entered.
#[must_use = "an expression does nothing until a step or a branch uses it"]
pub struct Expr<T> {
    recipe: Recipe,
    types: PhantomData<fn() -> T>,
}

/// Several values read together: follow with `.map(|one, other| ..)`.
#[must_use = "follow with .map(|one, other| ..)"]
pub struct Several<T> {
    parts: Vec<Recipe>,
    types: PhantomData<fn() -> T>,
}

/// A constant, written into the definition. One that cannot be written as JSON makes the definition
/// refused.
#[track_caller]
pub fn just<T: Serialize>(value: T) -> Expr<T> {
    Expr::of(Recipe::constant(&value, Location::caller()))
}

/// Whatever gives a `T`: a handle, an expression; where a span is needed, a plain [`Duration`] too.
#[diagnostic::on_unimplemented(
    message = "`{T}` is needed here, but `{Self}` was given",
    label = "does not give `{T}`",
    note = "inputs are built from handles: `handle.map(|value| ..)`, `one.and(other).map(|a, b| ..)`, or `just(value)` for a constant"
)]
pub trait Gives<T>: sealed::Gives {
    #[doc(hidden)]
    fn recipe(self) -> Recipe;
}

/// Where the outputs of a saga's nodes are found: the JSON text as it was logged.
pub trait Outputs {
    /// What the node gave, if it has given anything.
    fn output(&self, node: NodeIndex) -> Option<&Payload>;
}

/// Why an expression gave nothing. It parks the node that needed it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ExpressionError {
    /// A node that it reads has given nothing.
    #[error("`{node}` has given nothing that could be read")]
    Missing {
        /// The node's id.
        node: Arc<str>,
    },
    /// What a node gave is not of the type that the definition reads.
    #[error("what `{node}` gave does not read as `{wanted}`: {message}")]
    Unreadable {
        /// The node's id.
        node: Arc<str>,
        /// The type that was wanted.
        wanted: &'static str,
        /// What serde says.
        message: String,
    },
    /// A constant, or what an inner expression gave, does not read back as its own type.
    #[error("`{wanted}` was written but does not read back: {message}")]
    NotSymmetric {
        /// The type.
        wanted: &'static str,
        /// What serde says.
        message: String,
    },
    /// What it gave cannot be written as JSON.
    #[error("`{given}` cannot be written as JSON: {message}")]
    Unwritable {
        /// The type of what it gave.
        given: &'static str,
        /// What serde says.
        message: String,
    },
    /// The picker of a choice picked an arm of another one.
    #[error("an arm of another choice was picked")]
    ForeignArm,
    /// There is no expression in the definition at the place that was asked for.
    #[error("the definition has nothing to evaluate there")]
    NoExpression,
    /// Only the graph of the definition is known.
    #[error("the definition's own code computes this, and only its graph is known")]
    NoCode,
}

impl<T> Clone for Out<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Out<T> {}

impl<T> Out<T> {
    pub(crate) const fn new(slot: Slot) -> Self {
        Self {
            slot,
            types: PhantomData,
        }
    }

    /// Read together with another value.
    pub fn and<B>(self, other: impl Gives<B>) -> Several<(T, B)> {
        Several::of(vec![self.recipe(), other.recipe()])
    }
}

impl<T: Json> Out<T> {
    /// A function of what the node gave. It captures nothing.
    pub fn map<R: Json>(self, function: fn(T) -> R) -> Expr<R> {
        map(self.recipe(), function)
    }
}

impl<T> Clone for Expr<T> {
    fn clone(&self) -> Self {
        Self::of(self.recipe.clone())
    }
}

impl<T> Expr<T> {
    const fn of(recipe: Recipe) -> Self {
        Self {
            recipe,
            types: PhantomData,
        }
    }

    /// Read together with another value.
    pub fn and<B>(self, other: impl Gives<B>) -> Several<(T, B)> {
        Several::of(vec![self.recipe, other.recipe()])
    }
}

impl<T: Json> Expr<T> {
    /// A function of what the expression gives. It captures nothing.
    pub fn map<R: Json>(self, function: fn(T) -> R) -> Expr<R> {
        map(self.recipe, function)
    }
}

fn map<T: Json, R: Json>(of: Recipe, function: fn(T) -> R) -> Expr<R> {
    Expr::of(Recipe::computed(vec![of], move |parts, reading| {
        write(&function(parts[0].read(reading)?))
    }))
}

impl<T> Several<T> {
    const fn of(parts: Vec<Recipe>) -> Self {
        Self {
            parts,
            types: PhantomData,
        }
    }
}

macro_rules! several {
    ($($type:ident $at:tt),+) => {
        impl<$($type: Json),+> Several<($($type,)+)> {
            /// A function of all of them. It captures nothing.
            pub fn map<R: Json>(self, function: fn($($type),+) -> R) -> Expr<R> {
                Expr::of(Recipe::computed(self.parts, move |parts, reading| {
                    write(&function($(parts[$at].read(reading)?),+))
                }))
            }
        }
    };
    (and $($type:ident),+) => {
        impl<$($type),+> Several<($($type,)+)> {
            /// Read together with one more value; six at most.
            pub fn and<Next>(mut self, next: impl Gives<Next>) -> Several<($($type,)+ Next)> {
                self.parts.push(next.recipe());
                Several::of(self.parts)
            }
        }
    };
}

several!(A 0, B 1);
several!(A 0, B 1, C 2);
several!(A 0, B 1, C 2, D 3);
several!(A 0, B 1, C 2, D 3, E 4);
several!(A 0, B 1, C 2, D 3, E 4, F 5);
several!(and A, B);
several!(and A, B, C);
several!(and A, B, C, D);
several!(and A, B, C, D, E);

impl<T> Gives<T> for Out<T> {
    fn recipe(self) -> Recipe {
        Recipe::copy(self.slot)
    }
}

impl<T> Gives<T> for Expr<T> {
    fn recipe(self) -> Recipe {
        self.recipe
    }
}

impl Gives<Self> for Duration {
    fn recipe(self) -> Recipe {
        just(self).recipe
    }
}

mod sealed {
    pub trait Gives {}
    impl<T> Gives for super::Out<T> {}
    impl<T> Gives for super::Expr<T> {}
    impl Gives for core::time::Duration {}
}
