//! What went wrong, said so that its reader knows what to do next.

use std::{borrow::Cow, error::Error, fmt, io, process::ExitCode};

use sagalog::{
    CallError, Refusal, StartError, StopError, history::HistoryError, runtime::DriveError,
    views::ViewError,
};
use sagalog_eventlog::{AcquireError, OpenError, ReadError, SubscriptionError, VerifyError};
use serde::Serialize;

use crate::words::plain;

/// What an exit code means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// It failed.
    Failed = 1,
    /// The command line is not one of ours.
    Usage = 2,
    /// There is no such log, saga, node or definition.
    NotFound = 3,
    /// Somebody else has the log, or it is refused in this state.
    Conflict = 5,
    /// It took too long.
    Timeout = 6,
    /// The saga that was waited for went back.
    Compensated = 7,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command was not done: what, where, why and how to fix it.
#[derive(Debug)]
pub struct CliError {
    code: Cow<'static, str>,
    exit: Exit,
    message: String,
    fix: Option<String>,
    legal: Option<Vec<String>>,
}

impl CliError {
    /// An error with a stable code for programs, an exit code, and a message without full stop.
    pub fn new(code: impl Into<Cow<'static, str>>, exit: Exit, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            exit,
            message: message.into(),
            fix: None,
            legal: None,
        }
    }

    /// Something failed, for this reason.
    pub fn failed(error: &dyn Error) -> Self {
        Self::new("failed", Exit::Failed, chain(error))
    }

    /// Says how to fix it.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// Says which actions are legal instead.
    #[must_use]
    pub(crate) fn legal(mut self, actions: Vec<String>) -> Self {
        self.legal = Some(actions);
        self
    }

    /// Its stable code.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// What, where and why.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Whether whoever was asked said no; asking again says the same.
    pub(crate) const fn is_refusal(&self) -> bool {
        matches!(self.exit, Exit::Conflict | Exit::NotFound | Exit::Usage)
    }

    /// What the process ends with.
    pub const fn exit(&self) -> Exit {
        self.exit
    }

    /// Whether whoever read stdout has gone, which is no error of ours.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        self.code == CLOSED_PIPE
    }

    /// As JSON, for stderr.
    pub(crate) fn to_json(&self) -> String {
        let said = Said {
            code: &self.code,
            message: &self.message,
            fix: self.fix.as_deref(),
            legal: self.legal.as_deref(),
            exit: self.exit as u8,
        };
        serde_json::to_string(&Object { error: said }).expect("an error is plain data")
    }
}

#[derive(Serialize)]
struct Object<'a> {
    error: Said<'a>,
}

#[derive(Serialize)]
struct Said<'a> {
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<&'a str>,
    /// The actions that are legal instead, as they are typed; missing if it is about something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    legal: Option<&'a [String]>,
    exit: u8,
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, line) in self.message.lines().enumerate() {
            let end = if number == 0 { "" } else { "\n" };
            write!(f, "{end}{}", plain(line))?;
        }
        if let Some(legal) = &self.legal {
            write!(f, "\n  legal now: {}", listed(legal))?;
        }
        match &self.fix {
            Some(fix) => write!(f, "\n  {fix}"),
            None => Ok(()),
        }
    }
}

impl Error for CliError {}

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        let code = if error.kind() == io::ErrorKind::BrokenPipe {
            CLOSED_PIPE
        } else {
            "io"
        };
        Self::new(code, Exit::Failed, error.to_string())
    }
}

impl From<OpenError> for CliError {
    fn from(error: OpenError) -> Self {
        let (code, exit) = match &error {
            OpenError::Missing { .. } => ("no_such_log", Exit::NotFound),
            OpenError::NotALog { .. } => ("not_a_log", Exit::Failed),
            OpenError::Newer { .. } => ("newer_format", Exit::Failed),
            OpenError::Damaged(_) => ("damaged", Exit::Failed),
            OpenError::BadOptions { .. } => ("bad_log", Exit::Usage),
            OpenError::NoDatabase { .. } => ("no_such_database", Exit::NotFound),
            OpenError::Denied { .. } => ("log_refuses", Exit::Failed),
            _ => ("log_unavailable", Exit::Failed),
        };
        let fix = match &error {
            OpenError::Denied { .. } => Some(
                "check user and password in the URL, and what the server lets this user do: log in (pg_hba.conf), \
                 and create a schema in this database",
            ),
            OpenError::Unavailable { log, .. } if log.starts_with("postgres://") => {
                Some("is PostgreSQL running there, and are host and port in the URL right?")
            }
            _ => None,
        };
        let said = Self::new(code, exit, chain(&error));
        match fix {
            Some(fix) => said.fix(fix),
            None => said,
        }
    }
}

impl From<ReadError> for CliError {
    fn from(error: ReadError) -> Self {
        let code = if matches!(error, ReadError::Damaged(_)) {
            "damaged"
        } else {
            "log_unavailable"
        };
        Self::new(code, Exit::Failed, chain(&error))
    }
}

impl From<SubscriptionError> for CliError {
    fn from(error: SubscriptionError) -> Self {
        match error {
            SubscriptionError::Read(error) => error.into(),
            error => Self::new("log_unavailable", Exit::Failed, chain(&error)),
        }
    }
}

impl From<VerifyError> for CliError {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Read(error) => error.into(),
            error => Self::new("damaged", Exit::Failed, chain(&error)),
        }
    }
}

impl From<HistoryError> for CliError {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::Read(error) => error.into(),
            error => Self::new("unreadable_history", Exit::Failed, chain(&error)),
        }
    }
}

impl From<ViewError> for CliError {
    fn from(error: ViewError) -> Self {
        match error {
            ViewError::Log(error) => error.into(),
            ViewError::Subscription(error) => error.into(),
            error => Self::new("unusable_views", Exit::Failed, chain(&error)),
        }
    }
}

impl From<CallError> for CliError {
    fn from(error: CallError) -> Self {
        Self::refused(&sagalog::control::Refused::of(&error))
    }
}

impl CliError {
    /// An owner's answer, which means the same over the socket and in this process.
    pub(crate) fn refused(refused: &sagalog::control::Refused) -> Self {
        let code = refused.code();
        let exit = match code {
            "no_such_saga"
            | "no_such_node"
            | "no_such_letter"
            | "no_such_partition"
            | "no_such_participant"
            | "unknown_signal"
            | "no_such_definition" => Exit::NotFound,
            "bad_id" | "bad_request" | "payload_too_large" => Exit::Usage,
            "no_answer" => Exit::Timeout,
            "stopped" | "bad_history" | "failed" => Exit::Failed,
            _ => Exit::Conflict,
        };
        Self::new(code.to_owned(), exit, refused.message.clone())
    }
}

impl From<Refusal> for CliError {
    fn from(error: Refusal) -> Self {
        CallError::from(error).into()
    }
}

impl From<StartError> for CliError {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Drive(error) => error.into(),
            StartError::Handlers(_) => Self::new("missing_handlers", Exit::Failed, chain(&error)),
            StartError::DefinitionChanged(_) => definition_changed(&error),
            error => Self::new("not_started", Exit::Failed, chain(&error)),
        }
    }
}

impl From<DriveError> for CliError {
    fn from(error: DriveError) -> Self {
        match &error {
            DriveError::Acquire(AcquireError::Held { .. }) => Self::new("log_in_use", Exit::Conflict, chain(&error))
                .fix("stop that program, or let it do what you want; reading the log works while it runs"),
            DriveError::CannotTakeOver(_) => Self::new("cannot_take_over", Exit::Conflict, chain(&error)),
            DriveError::DefinitionChanged(_) => definition_changed(&error),
            _ => Self::new("not_driven", Exit::Failed, chain(&error)),
        }
    }
}

impl From<StopError> for CliError {
    fn from(error: StopError) -> Self {
        match error {
            StopError::Drive(error) => error.into(),
            error => Self::new("not_stopped_in_peace", Exit::Failed, chain(&error)),
        }
    }
}

fn definition_changed(error: &dyn Error) -> CliError {
    CliError::new("definition_changed", Exit::Conflict, chain(error))
}

/// Actions as they are typed, in one line.
pub(crate) fn listed(actions: &[String]) -> String {
    match actions {
        [] => "nothing".to_owned(),
        actions => actions.join(", "),
    }
}

/// An error with its causes, in one line; a cause that its error has said already is left out.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        source = cause.source();
    }
    text
}

const CLOSED_PIPE: &str = "closed_pipe";
