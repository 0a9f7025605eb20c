//! The author's models of the outside world: plain values that go with a world wherever it forks.

use std::{any::Any, sync::Arc};

/// Models, one of a type. A copy shares them until one of the two changes.
#[derive(Clone, Default)]
pub(crate) struct Models(Vec<Arc<dyn Model>>);

impl Models {
    /// Adds a model, or replaces the one of its type.
    pub(crate) fn put<S: Clone + Send + Sync + 'static>(&mut self, model: S) {
        self.0.retain(|held| !held.any().is::<S>());
        self.0.push(Arc::new(Held(model)));
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The model of a type, if there is one.
    pub(crate) fn get<S: 'static>(&self) -> Option<&S> {
        self.0.iter().find_map(|held| held.any().downcast_ref())
    }

    /// The model of a type, to be changed.
    pub(crate) fn get_mut<S: 'static>(&mut self) -> Option<&mut S> {
        let held = self.0.iter_mut().find(|held| held.any().is::<S>())?;
        if Arc::get_mut(held).is_none() {
            *held = held.copy();
        }
        Arc::get_mut(held)?.any_mut().downcast_mut()
    }
}

struct Held<S>(S);

trait Model: Send + Sync {
    fn copy(&self) -> Arc<dyn Model>;
    fn any(&self) -> &dyn Any;
    fn any_mut(&mut self) -> &mut dyn Any;
}

impl<S: Clone + Send + Sync + 'static> Model for Held<S> {
    fn copy(&self) -> Arc<dyn Model> {
        Arc::new(Self(self.0.clone()))
    }

    fn any(&self) -> &dyn Any {
        &self.0
    }

    fn any_mut(&mut self) -> &mut dyn Any {
        &mut self.0
    }
}
