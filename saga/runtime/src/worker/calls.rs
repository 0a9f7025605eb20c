//! One call of a handler: begun here, carried on by a task of its own if it does not end at once.

use std::{
    any::Any,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll, Waker},
};

use sagalog_model::{Command, Outcome};
use tokio::{
    sync::mpsc::UnboundedSender,
    task::{AbortHandle, spawn},
};
use tracing::Span;

use super::{
    failure::bounded,
    handler::{Calling, Handler},
    link::Link,
};

/// What became of a call's first step.
pub(super) enum Begun {
    Ended(Outcome),
    Pending(Calling),
}

/// Calls a handler and polls it once. Most handlers that need not wait end here, without the price
/// of a task and a timer; the others are polled again by their task at once, so the waker that
/// does nothing misses nothing.
pub(super) fn begin(handler: &Handler, command: &Command, link: Link) -> Begun {
    guarded(|| match handler(command, link) {
        Err(outcome) => Begun::Ended(outcome),
        Ok(mut call) => {
            let mut context = Context::from_waker(Waker::noop());
            match call.as_mut().poll(&mut context) {
                Poll::Ready(outcome) => Begun::Ended(outcome),
                Poll::Pending => Begun::Pending(call),
            }
        }
    })
    .unwrap_or_else(Begun::Ended)
}

/// Carries a call on in a task of its own. Its end is told under this number, after its future was
/// dropped, whichever way it ends.
pub(super) fn carry_on(
    call: Calling,
    number: u64,
    ended: UnboundedSender<Ended>,
    span: Span,
) -> CancelOnDrop {
    let task = Task {
        call: Some(call),
        span,
        number,
        ended,
    };
    CancelOnDrop(spawn(task).abort_handle())
}

/// A call's future is dropped: nothing of it runs any more.
pub(super) struct Ended {
    pub(super) number: u64,
    /// What it came to; none if it was cancelled.
    pub(super) outcome: Option<Outcome>,
}

/// Cancels a call when it is dropped; no more than a note to a call that ended.
pub(super) struct CancelOnDrop(AbortHandle);

impl CancelOnDrop {
    pub(super) fn cancel(&self) {
        self.0.abort();
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.cancel();
    }
}

struct Task {
    call: Option<Calling>,
    /// What it logs says whose it is.
    span: Span,
    number: u64,
    ended: UnboundedSender<Ended>,
}

impl Task {
    fn end(&mut self, outcome: Option<Outcome>) {
        let Some(call) = self.call.take() else {
            return;
        };
        // What the handler holds may panic when it is dropped; the outcome stands.
        _ = guarded(|| drop(call));
        let number = self.number;
        // Without a receiver the host is gone, and with it whoever would want to know.
        _ = self.ended.send(Ended { number, outcome });
    }
}

impl Future for Task {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Self { call, span, .. } = &mut *self;
        let Some(call) = call else {
            return Poll::Ready(());
        };
        let polled = span.in_scope(|| guarded(|| call.as_mut().poll(context)));
        let outcome = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(outcome)) | Err(outcome) => outcome,
        };
        self.end(Some(outcome));
        Poll::Ready(())
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.end(None);
    }
}

/// Runs the user's code; a panic is an unknown outcome.
pub(super) fn guarded<T>(call: impl FnOnce() -> T) -> Result<T, Outcome> {
    // The future that panicked is never polled again, so nobody sees it half changed; what it
    // shares with others is behind the user's own locks.
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| Outcome::Unknown {
        reason: bounded(format!("the handler panicked: {}", text(&*panic))),
    })
}

fn text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a text")
}
