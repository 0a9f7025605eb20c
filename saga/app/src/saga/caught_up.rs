//! Whether views can answer for the log.

use sagalog::views::Views;

use crate::{
    error::{CliError, Exit},
    output::Output,
};

/// Views that are further behind are not brought up by a question.
const NEAR: u64 = 100_000;

/// What may come while they are read.
const MEANWHILE: u64 = 10_000;

/// Brings the views up with the log if they are near it. If there are none, nobody is told: that is how
/// most logs are. Otherwise it says why the log itself is read.
pub(crate) async fn by_now(views: &Views, output: Output) -> bool {
    let behind = match views.catch_up(NEAR).await {
        Ok(Some(behind)) => behind,
        Ok(None) => return false,
        Err(error) => {
            let why = crate::error::chain(&error);
            output.say(format_args!("the log itself is read: {why}"));
            return false;
        }
    };
    if behind > MEANWHILE {
        output.say(format_args!(
            "the log itself is read: its views are {behind} events behind; `sagalog view follow` keeps them up"
        ));
    }
    behind <= MEANWHILE
}

/// The same for a question that only views can answer. They answer it when they are further behind, and that is
/// said.
///
/// # Errors
/// If there are none.
pub(crate) async fn or_told(views: &Views, output: Output) -> Result<(), CliError> {
    let behind = views.catch_up(NEAR).await?.ok_or_else(no_views)?;
    if behind > MEANWHILE {
        output.say(format_args!(
            "the views are {behind} events behind the log; `sagalog view follow` keeps them up"
        ));
    }
    Ok(())
}

/// Only views could have answered.
pub(crate) fn no_views() -> CliError {
    let message = "there are no views of this log, which this is looked up in";
    CliError::new("no_views", Exit::Conflict, message).fix("make them: `sagalog view rebuild`")
}
