//! The side of whoever wants something.

use std::{io, path::Path};

use tokio::{
    io::BufReader,
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
};

use super::{
    line::{self, Line},
    near::Near,
};
use crate::request::{Answer, OwnerName, Refused, Request};

/// The longest answer that is taken.
const ANSWER_MAX: usize = 256 * 1_024;

/// A connection to the owner of a log.
#[derive(Debug)]
pub struct Control {
    answers: BufReader<OwnedReadHalf>,
    requests: OwnedWriteHalf,
}

/// Why the owner did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// It said why not; nothing was recorded, unless it had stopped.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The connection broke. Whether the request was recorded is not known: send it again with the
    /// same id.
    #[error("the connection to the owner of the log broke before it answered")]
    Broken(#[source] io::Error),
    /// It answered with something that is none of the answers known here.
    #[error("the owner of the log gave an answer that this release does not know")]
    UnknownAnswer,
}

impl Control {
    /// Connects to whoever listens at `socket`; nobody is no error.
    ///
    /// # Errors
    /// If somebody may be there and cannot be reached, for instance another user's process.
    pub async fn connect(socket: &Path) -> io::Result<Option<Self>> {
        let near = match Near::to(socket) {
            Ok(near) => near,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match UnixStream::connect(near.path()).await {
            Ok(stream) => {
                let (answers, requests) = stream.into_split();
                Ok(Some(Self {
                    answers: BufReader::new(answers),
                    requests,
                }))
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Asks for something and waits until it is durable.
    ///
    /// # Errors
    /// [`ControlError`]
    pub async fn request(&mut self, request: &Request) -> Result<(), ControlError> {
        match self.ask(request).await? {
            Answer::Done {} => Ok(()),
            _ => Err(ControlError::UnknownAnswer),
        }
    }

    /// Who is at the other end.
    ///
    /// # Errors
    /// [`ControlError`]
    pub async fn who(&mut self) -> Result<OwnerName, ControlError> {
        match self.ask(&Request::Who {}).await? {
            Answer::Owner(owner) => Ok(owner),
            _ => Err(ControlError::UnknownAnswer),
        }
    }

    /// Asks for something, and gives whatever is answered but a refusal.
    ///
    /// # Errors
    /// [`ControlError`]
    pub async fn ask(&mut self, request: &Request) -> Result<Answer, ControlError> {
        match self.exchange(request).await? {
            Answer::Refused(refused) => Err(refused.into()),
            answer => Ok(answer),
        }
    }

    async fn exchange(&mut self, request: &Request) -> Result<Answer, ControlError> {
        // An owner that refuses the connection answers and closes without reading, so a failed
        // write is no reason not to look for what it said.
        let written = line::write(&mut self.requests, request).await;
        match line::read(&mut self.answers, ANSWER_MAX)
            .await
            .map_err(ControlError::Broken)?
        {
            Line::Whole(answer) => {
                serde_json::from_slice(&answer).map_err(|_| ControlError::UnknownAnswer)
            }
            Line::TooLong => Err(ControlError::UnknownAnswer),
            Line::End => {
                let cause = written
                    .err()
                    .unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into());
                Err(ControlError::Broken(cause))
            }
        }
    }
}
