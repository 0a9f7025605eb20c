//! The main line: begun by a contract, finished into a definition.

use core::{
    marker::PhantomData,
    ops::{Deref, DerefMut},
    panic::Location,
    time::Duration,
};

use super::Flow;
use crate::{
    check::{BadDefinition, check},
    contract::Saga,
    definition::Definition,
    expr::{Gives, Out},
    graph::{DefinitionVersion, Graph, Kind},
};

/// The main line of a definition under construction; [`returns`](Self::returns) finishes it.
#[must_use = "finish it with .returns(..)"]
pub struct Draft<I, O> {
    flow: Flow,
    types: PhantomData<fn(I) -> O>,
}

impl<I, O> Saga<I, O> {
    /// Begins a definition of this saga, and gives a handle to the saga's input.
    ///
    /// ```
    /// use sagalog_model::{BadDefinition, Definition, Saga, Step};
    /// use serde::{Deserialize, Serialize};
    ///
    /// # #[derive(Serialize, Deserialize)]
    /// # pub struct Order { sku: String, quantity: u32, cents: u64, card: String, gift: bool }
    /// # #[derive(Serialize, Deserialize)]
    /// # pub struct Reserve { sku: String, quantity: u32 }
    /// # #[derive(Serialize, Deserialize)]
    /// # pub struct Reservation { id: String }
    /// # #[derive(Serialize, Deserialize)]
    /// # pub struct Charge { cents: u64, card: String, reservation: String }
    /// # #[derive(Serialize, Deserialize)]
    /// # pub struct Payment { id: String }
    /// # #[derive(Serialize, Deserialize)]
    /// # pub struct Ship { reservation: String }
    /// # #[derive(Serialize, Deserialize)]
    /// # pub struct Label { tracking: String }
    /// #[derive(Serialize, Deserialize)]
    /// pub struct Receipt { payment: Option<String>, tracking: String }
    ///
    /// pub const ORDER: Saga<Order, Receipt> = Saga::new("order");
    /// pub const RESERVE: Step<Reserve, Reservation> = Step::new("inventory.reserve").compensatable();
    /// pub const CHARGE: Step<Charge, Payment> = Step::new("payments.charge").compensatable().probed();
    /// pub const SHIP: Step<Ship, Label> = Step::new("shipping.ship").retryable();
    ///
    /// pub fn order() -> Result<Definition<Order, Receipt>, BadDefinition> {
    ///     let (mut saga, order) = ORDER.define(1);
    ///     let reserved = saga.step("reserve", RESERVE, order.map(|o| Reserve { sku: o.sku, quantity: o.quantity }));
    ///     let paid = saga.when("pay", order.map(|o| !o.gift), |saga| {
    ///         saga.step("charge", CHARGE, order.and(reserved).map(|o, r| Charge { cents: o.cents, card: o.card, reservation: r.id }))
    ///     });
    ///     saga.pivot();
    ///     let label = saga.step("ship", SHIP, reserved.map(|r| Ship { reservation: r.id }));
    ///     saga.returns(paid.and(label).map(|p, l| Receipt { payment: p.map(|p| p.id), tracking: l.tracking }))
    /// }
    ///
    /// assert_eq!(order()?.graph().outline().to_string(), "\
    /// saga order, version 1
    ///   start
    ///   reserve: asks inventory.reserve (compensatable) with f(start)
    ///   pay: when f(start)
    ///     [yes]
    ///       charge: asks payments.charge (compensatable, probed) with f(start, reserve)
    ///       gives charge
    ///   pivot
    ///   ship: asks shipping.ship (retryable) with f(reserve)
    ///   return: f(pay, ship)
    /// ");
    /// # Ok::<_, BadDefinition>(())
    /// ```
    ///
    /// A change of the graph needs a new version, as sagas that run keep theirs; so does a change
    /// of what its functions do, which nobody but you can notice.
    #[track_caller]
    pub fn define(self, version: u32) -> (Draft<I, O>, Out<I>) {
        let mut flow = Flow::new(Location::caller(), self.name(), DefinitionVersion(version));
        flow.nodes[Graph::START.0 as usize].sample = Some(self.input());
        let input = flow.handle(Graph::START);
        let draft = Draft {
            flow,
            types: PhantomData,
        };
        (draft, input)
    }
}

impl<I, O> Draft<I, O> {
    /// How long a run may take. Past that it turns back; after the pivot it only alerts.
    pub fn deadline(&mut self, span: Duration) {
        self.flow.graph.deadline = Some(span);
    }

    /// Ends the definition with what the saga gives, and checks it.
    ///
    /// # Errors
    /// [`BadDefinition`] lists all that is wrong with it, each fault with its place in the source.
    #[track_caller]
    pub fn returns(mut self, output: impl Gives<O>) -> Result<Definition<I, O>, BadDefinition> {
        let place = Location::caller();
        self.flow
            .computing(place, "return", output, |output| Kind::Return { output });
        check(&self.flow)?;
        Ok(Definition::new(self.flow))
    }
}

impl<I, O> Deref for Draft<I, O> {
    type Target = Flow;

    fn deref(&self) -> &Flow {
        &self.flow
    }
}

impl<I, O> DerefMut for Draft<I, O> {
    fn deref_mut(&mut self) -> &mut Flow {
        &mut self.flow
    }
}
