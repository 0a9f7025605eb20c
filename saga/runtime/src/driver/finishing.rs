//! The end in peace: nothing new is taken, what was taken is settled, and whoever waits is told.

use sagalog_engine::Effect;
use sagalog_transport::{Kind, Message};
use tokio::{select, time::sleep};
use tracing::{info, warn};

use super::{DriveError, Driver, letters::sent_again, underway};
use crate::caller::AGAIN;

impl Driver {
    /// Settles what was taken, and gives the answers that are owed.
    ///
    /// Other processes are told while the partition is still owned; those who wait for ends ask the
    /// next owner. A broker that takes no answers is waited for only until they are asked for again.
    pub(super) async fn finish(&mut self) -> Result<(), DriveError> {
        self.end_all_waiting();
        loop {
            self.begin_to_settle();
            let settled = self.appending.is_none() && self.looking_up.is_none();
            if settled && self.publishing.is_none() {
                break;
            }
            select! {
                biased;
                appended = underway(&mut self.appending) => {
                    let appended = appended.map_err(DriveError::Append)?;
                    self.is_durable(&appended);
                }
                found = underway(&mut self.looking_up) => self.looked_up(found?)?,
                published = underway(&mut self.publishing) => self.published(published)?,
                () = sleep(AGAIN), if settled => {
                    warn!(
                        partition = self.partition.get(),
                        "the last answers are not taken; whoever waits for them asks again"
                    );
                    break;
                }
            }
        }
        let tags = std::mem::take(&mut self.acknowledged);
        self.inbox.ack(&tags).await?;
        self.acknowledge_dead().await?;
        info!(partition = self.partition.get(), "stopped in peace");
        Ok(())
    }

    fn begin_to_settle(&mut self) {
        let now = self.clock.now();
        while let Some(effect) = self.machine.poll_effect(now) {
            if let Effect::Answer { .. } = effect {
                self.perform(effect);
            }
        }
        // Commands stay in state: the next owner asks them again.
        let is_answer =
            |message: &Message| message.kind == Kind::Response && sent_again(message).is_none();
        self.outgoing.retain(is_answer);
        self.begin();
    }
}
