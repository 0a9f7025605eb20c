//! The author's own code: whatever it does, it is told as the author's.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
};

/// A function of the author has panicked: the run ends with this.
pub(crate) struct Panicked(pub(crate) String);

/// Calls a function of the author; `name` says which if it panics.
///
/// # Panics
/// With [`Panicked`] if the function does.
pub(crate) fn call<T>(name: impl FnOnce() -> String, function: impl FnOnce() -> T) -> T {
    match catch_unwind(AssertUnwindSafe(function)) {
        Ok(value) => value,
        Err(panic) => {
            let told = format!("{} panics: {}", name(), text(&*panic));
            // It has been reported once; this only unwinds.
            resume_unwind(Box::new(Panicked(told)))
        }
    }
}

/// What a panic says.
pub(crate) fn text(panic: &(dyn Any + Send)) -> &str {
    said(panic).unwrap_or("no text")
}

/// What a panic says, if that is a text.
pub(crate) fn said(panic: &(dyn Any + Send)) -> Option<&str> {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
}
