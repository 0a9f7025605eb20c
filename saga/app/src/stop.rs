//! When a process is asked to stop: by ctrl-c, by SIGTERM, or by the end of what started it.

use std::io::{self, Read as _};

use tokio::{
    select,
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
};

/// Waits for whoever wants the process to stop.
pub(crate) struct Stop {
    interrupt: Signal,
    terminate: Signal,
    parent: Option<oneshot::Receiver<()>>,
}

impl Stop {
    /// From here on a signal is heard.
    pub(crate) fn by_signal() -> io::Result<Self> {
        let (interrupt, terminate) = (
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        );
        Ok(Self {
            interrupt,
            terminate,
            parent: None,
        })
    }

    /// As well as the end of stdin, which the parent holds open.
    pub(crate) fn by_signal_or_parent() -> io::Result<Self> {
        let (ended, end) = oneshot::channel();
        // A thread, as a read of stdin cannot be cancelled and would hold the runtime up at its end.
        std::thread::spawn(move || {
            let mut byte = [0];
            while matches!(io::stdin().read(&mut byte), Ok(1)) {}
            drop(ended);
        });
        Ok(Self {
            parent: Some(end),
            ..Self::by_signal()?
        })
    }

    /// Comes when it is asked to stop; asked again, it comes again.
    pub(crate) async fn asked(&mut self) {
        let parent = async {
            match &mut self.parent {
                Some(end) => drop(end.await),
                None => std::future::pending().await,
            }
        };
        select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            () = parent => self.parent = None,
        }
    }
}
