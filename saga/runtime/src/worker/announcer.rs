//! Says that an instance of each participant is there, and when it leaves.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use sagalog_model::Announcement;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::{
    client::{CallError, Client},
    request::{EVERY, Request, Roll},
};

/// The longest pause between two announcements while nobody answers them: what nobody takes should not
/// fill the inbox that it waits in.
pub(crate) const PAUSE_MAX: Duration = Duration::from_secs(30);

/// The pause after the first announcement that nobody answers, halved.
const AGAIN: Duration = Duration::from_millis(500);

/// How long whoever leaves waits for that to be taken.
const LEAVING: Duration = Duration::from_secs(1);

/// Announces the participants of a process.
pub(super) struct Announcer {
    client: Client,
    announcements: Vec<Announcement>,
}

impl Announcer {
    /// Announces these participants with the steps of each, as this instance.
    pub(super) fn new(
        client: Client,
        instance: Arc<str>,
        concurrency: usize,
        participants: impl Iterator<Item = (String, BTreeMap<Arc<str>, Arc<str>>)>,
    ) -> Self {
        let announcements = participants.map(|(participant, capabilities)| Announcement {
            participant: participant.into(),
            instance: instance.clone(),
            capabilities,
            concurrency: u32::try_from(concurrency).unwrap_or(u32::MAX),
            every: EVERY,
        });
        Self {
            client: client.within(EVERY),
            announcements: announcements.collect(),
        }
    }

    /// Says it again and again until the stop, and then that they leave.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut unheard = 0;
        loop {
            let began = Instant::now();
            let announced = stop.run_until_cancelled(self.announce()).await;
            let pause = match announced {
                Some(true) => {
                    unheard = 0;
                    EVERY
                }
                Some(false) => {
                    unheard = (unheard + 1).min(8);
                    (AGAIN * 2_u32.pow(unheard)).min(PAUSE_MAX)
                }
                None => break,
            };
            if stop
                .run_until_cancelled(sleep_until(began + pause))
                .await
                .is_none()
            {
                break;
            }
        }
        self.leave().await;
    }

    /// Whether somebody has taken it.
    async fn announce(&self) -> bool {
        let all = self.announcements.iter().cloned().map(Roll::Announce);
        self.tell(&self.client, all).await
    }

    async fn leave(&self) {
        let all = self.announcements.iter().map(|announced| Roll::Leave {
            participant: announced.participant.to_string(),
            instance: announced.instance.to_string(),
        });
        self.tell(&self.client.within(LEAVING), all).await;
    }

    async fn tell(&self, client: &Client, all: impl Iterator<Item = Roll>) -> bool {
        let mut telling = JoinSet::new();
        for roll in all {
            let client = client.clone();
            telling.spawn(async move { client.ask(Request::Participants(roll)).await });
        }
        let mut is_taken = true;
        while let Some(told) = telling.join_next().await {
            match told.expect("it is not aborted and does not panic") {
                Ok(_) => {}
                Err(why @ CallError::RefusedThere(_)) => {
                    warn!(%why, "this worker is not announced");
                    is_taken = false;
                }
                Err(why) => {
                    debug!(%why, "nobody hears that this worker is there");
                    is_taken = false;
                }
            }
        }
        is_taken
    }
}
