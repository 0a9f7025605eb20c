//! The order of what is under way: what comes about one chain may go behind what comes about others.

use std::{sync::Arc, time::Duration};

use sagalog_model::log::Time;

use super::{DOWN, Happening, World, clients, participants};
use crate::{
    fault::Fault,
    site::{Point, Site, Subject},
};

/// What happens in an order of its own: what is about one node of a saga. Chains are independent of
/// each other, so the order between them is open.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Chain {
    saga: u32,
    node: Arc<str>,
}

/// The shortest time: enough for the node to take in what came before.
const MOMENT: Duration = Duration::from_micros(1);

impl World {
    /// Asks the plan whether others go ahead of something that comes now; then it is on the agenda
    /// again. Where nothing else is under way there is nothing to ask.
    pub(super) fn lets_others_go_ahead(&mut self, happening: &Happening) -> bool {
        if self.agenda.is_empty() {
            return false;
        }
        let Some((saga, subject, point)) = self.place(happening) else {
            return false;
        };
        let chain = Chain::of(saga, &subject);
        let Some(rival) = self.rivals(&chain).next().map(|(at, _)| at) else {
            return false;
        };
        let site = self.site(saga, subject, point);
        if self.dice.is_some() {
            let rivals: Vec<_> = self.rivals(&chain).map(|(_, rival)| rival).collect();
            let dice = self.dice.as_mut();
            let rolled = dice.and_then(|dice| dice.order(&site, &chain, &rivals));
            self.goes_wrong(&site, rolled);
        }
        let again = match self.come_to(site) {
            Some(Fault::StepsAside) => rival.max(self.now).after(MOMENT),
            Some(_) => self.now.after(DOWN),
            None => return false,
        };
        self.agenda.add(again, happening.clone());
        true
    }

    /// Where a happening asks for its turn: a command in its participant's queue, a reply or a call in
    /// the node's inbox.
    fn place(&self, happening: &Happening) -> Option<(u32, Subject, Point)> {
        let (saga, subject, point) = match happening {
            _ if self.now < self.broker_down_until => return None,
            Happening::CommandArrives(sent) => (
                &sent.command.saga,
                participants::subject(&sent.command),
                Point::Queue,
            ),
            Happening::ReplyArrives(reply) => (
                &reply.saga,
                Subject::Attempt {
                    node: reply.node.clone(),
                    direction: reply.direction,
                    attempt: reply.attempt.0,
                },
                Point::Inbox,
            ),
            Happening::Call(call) => (&call.saga, clients::subject(&call.wants), Point::Inbox),
            _ => return None,
        };
        Some((self.setup.ordinal(saga), subject, point))
    }

    /// What others do soon: when, and which.
    fn rivals(&self, chain: &Chain) -> impl Iterator<Item = (Time, Chain)> {
        let soon = self.agenda.until(self.now.after(DOWN));
        soon.filter_map(|(at, happening)| {
            let rival = self.chain(happening);
            (rival != *chain).then_some((at, rival))
        })
    }

    fn chain(&self, happening: &Happening) -> Chain {
        let (saga, node) = match happening {
            Happening::CommandArrives(sent) => (&sent.command.saga, sent.command.node.clone()),
            Happening::ReplyArrives(reply) => (&reply.saga, reply.node.clone()),
            Happening::Call(call) => match clients::subject(&call.wants) {
                Subject::Other(word) => (&call.saga, word),
                Subject::Attempt { node, .. } => (&call.saga, node),
            },
            _ => return Chain::of_the_node(),
        };
        Chain {
            saga: self.setup.ordinal(saga),
            node,
        }
    }
}

impl Chain {
    fn of(saga: u32, subject: &Subject) -> Self {
        let (Subject::Attempt { node, .. } | Subject::Other(node)) = subject;
        let node = node.clone();
        Self { saga, node }
    }

    /// What the node itself does: its appends, its taking over.
    fn of_the_node() -> Self {
        Self {
            saga: Site::WORLD,
            node: "node".into(),
        }
    }
}
