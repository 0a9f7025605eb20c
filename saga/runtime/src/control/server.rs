//! The owner's side.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::BufReader,
    net::{UnixListener, UnixStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{
    line::{self, Line},
    near::Near,
};
use crate::{
    client::Client,
    request::{Answer, Refused, Request},
};

/// Connections at once; further ones are told so and closed.
const CONNECTIONS: usize = 32;

/// How much a request may have beside its payload.
const BESIDE_PAYLOAD: usize = 64 * 1_024;

/// How long a connection may say nothing before its place is given to others.
const SILENCE: Duration = Duration::from_secs(60);

/// Pause after a connection could not be accepted, usually because all file descriptors are taken.
const BREATH: Duration = Duration::from_millis(100);

/// Why nobody can be reached at a path.
#[derive(Debug, thiserror::Error)]
#[error("no socket can be made at {path}")]
pub struct BindError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Takes requests until it is told to stop.
pub(crate) struct Server {
    listener: UnixListener,
    place: Place,
    talk: Talk,
}

/// The socket's place in the file system. One that is not cleared is stale, and replaced by the next
/// owner.
pub(crate) struct Place(PathBuf);

/// What a connection needs.
#[derive(Clone)]
struct Talk {
    client: Client,
    line_max: usize,
}

impl Server {
    /// Listens at `path`, in place of whatever is there. The caller owns the log, so that is stale.
    ///
    /// # Errors
    /// [`BindError`], for instance if the folder may not be written.
    pub(crate) fn bind(path: &Path, client: Client, payload_max: usize) -> Result<Self, BindError> {
        let listener = bind(path).map_err(|source| BindError {
            path: path.to_owned(),
            source,
        })?;
        let talk = Talk {
            client,
            line_max: payload_max + BESIDE_PAYLOAD,
        };
        Ok(Self {
            listener,
            place: Place(path.to_owned()),
            talk,
        })
    }

    /// Takes requests until `stop`, answers those it has begun, and gives its place back.
    pub(crate) async fn run(self, stop: CancellationToken) -> Place {
        let Self {
            listener,
            place,
            talk,
        } = self;
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let mut open = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop.cancelled() => break,
                // Those that ended are let go of, so that the set does not grow.
                Some(_) = open.join_next() => continue,
            };
            match accepted {
                Ok((stream, _)) => {
                    let permit = places.clone().try_acquire_owned().ok();
                    open.spawn(talk.clone().with(stream, permit, stop.clone()));
                }
                Err(error) => {
                    warn!(%error, "a connection to the control socket could not be accepted");
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
        while open.join_next().await.is_some() {}
        place
    }
}

impl Place {
    /// Clears it. Only while the log is owned: afterwards the place may be the next owner's.
    pub(crate) fn clear(self) {
        let _ = fs::remove_file(self.0);
    }
}

impl Talk {
    async fn with(
        self,
        stream: UnixStream,
        permit: Option<OwnedSemaphorePermit>,
        stop: CancellationToken,
    ) {
        let (requests, mut answers) = stream.into_split();
        if permit.is_none() {
            let refused = Refused::new(
                "busy",
                format!("{CONNECTIONS} connections are open, which is the limit"),
            );
            let _ = line::write(&mut answers, &Answer::Refused(refused)).await;
            return;
        }
        let mut requests = BufReader::new(requests);
        loop {
            let read = tokio::select! {
                read = tokio::time::timeout(SILENCE, line::read(&mut requests, self.line_max)) => read,
                () = stop.cancelled() => return,
            };
            let (answer, goes_on) = match read {
                Ok(Ok(Line::Whole(line))) => (self.answer(&line).await, true),
                Ok(Ok(Line::TooLong)) => (self.too_long(), false),
                // It has gone, or says nothing.
                Ok(Ok(Line::End) | Err(_)) | Err(_) => return,
            };
            if line::write(&mut answers, &answer).await.is_err() || !goes_on {
                return;
            }
        }
    }

    async fn answer(&self, line: &[u8]) -> Answer {
        let request: Request = match serde_json::from_slice(line) {
            Ok(request) => request,
            Err(why) => {
                return Answer::Refused(Refused::new(
                    "bad_request",
                    format!("it is not a request: {why}"),
                ));
            }
        };
        match request.apply(&self.client).await {
            Ok(answer) => answer,
            Err(error) => Answer::Refused(Refused::of(&error)),
        }
    }

    fn too_long(&self) -> Answer {
        let message = format!(
            "a request has at most {} bytes, this one has more",
            self.line_max
        );
        Answer::Refused(Refused::new("bad_request", message))
    }
}

/// The socket is made in a folder that only its user can enter and moved to its place when only its
/// user can open it: at no time can anybody else.
fn bind(path: &Path) -> io::Result<UnixListener> {
    let mut folder = path.as_os_str().to_owned();
    folder.push("~");
    let folder = PathBuf::from(folder);
    // What a process left that was killed here.
    let _ = fs::remove_dir_all(&folder);
    fs::DirBuilder::new().mode(0o700).create(&folder)?;
    let made = folder.join("s");
    let bound = Near::to(&made).and_then(|near| {
        let listener = UnixListener::bind(near.path())?;
        fs::set_permissions(&made, Permissions::from_mode(0o600))?;
        fs::rename(&made, path)?;
        Ok(listener)
    });
    let _ = fs::remove_dir_all(&folder);
    bound
}
