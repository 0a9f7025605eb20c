//! The name of one attempt as a text, for whoever ends it from elsewhere.

use alloc::{string::String, sync::Arc};
use core::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    log::PartitionId,
    message::{AttemptNumber, Direction, Outcome, Reply, SagaId, TENANT},
};

/// Names one attempt, so that whoever holds it can say what became of it: tenant, partition,
/// direction, attempt, node and saga. As a text it has at most 512 bytes without spaces; keep it
/// whole, and take nothing from it. It is no secret and proves nothing: who may talk to the runtime
/// may end attempts.
#[derive(Clone, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Token {
    /// The partition in which the saga lives.
    pub partition: PartitionId,
    /// The saga.
    pub saga: SagaId,
    /// The node's id.
    pub node: Arc<str>,
    /// What was asked.
    pub direction: Direction,
    /// Which attempt.
    pub attempt: AttemptNumber,
}

impl Token {
    /// The reply that says this of the attempt.
    pub fn reply(&self, outcome: Outcome) -> Reply {
        Reply {
            saga: self.saga.clone(),
            node: self.node.clone(),
            direction: self.direction,
            attempt: self.attempt,
            outcome,
        }
    }
}

/// The saga comes last: only its id may contain a `/`.
impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            partition,
            saga,
            node,
            direction,
            attempt,
        } = self;
        let partition = partition.get();
        write!(
            f,
            "{TENANT}/{partition}/{direction}/{attempt}/{node}/{saga}"
        )
    }
}

/// A text that is no token.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is no token of an attempt; hand it on exactly as the worker gave it")]
pub struct NotAToken(pub String);

impl FromStr for Token {
    type Err = NotAToken;

    fn from_str(text: &str) -> Result<Self, NotAToken> {
        parts(text).ok_or_else(|| NotAToken(text.chars().take(100).collect()))
    }
}

fn parts(text: &str) -> Option<Token> {
    let mut parts = text.splitn(6, '/');
    let _tenant = parts.next().filter(|tenant| *tenant == TENANT)?;
    let partition = PartitionId::new(number(parts.next()?)?);
    let word = parts.next()?;
    let mut directions = Direction::ALL.into_iter();
    let direction = directions.find(|direction| direction.as_str() == word)?;
    let attempt = AttemptNumber(number(parts.next()?)?);
    let node = parts.next().filter(|node| !node.is_empty())?;
    let saga = SagaId::new(parts.next()?).ok()?;
    Some(Token {
        partition,
        saga,
        node: node.into(),
        direction,
        attempt,
    })
}

/// Digits alone: a number is written in one way.
fn number(text: &str) -> Option<u32> {
    text.parse()
        .ok()
        .filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

impl TryFrom<String> for Token {
    type Error = NotAToken;

    fn try_from(text: String) -> Result<Self, NotAToken> {
        text.parse()
    }
}

impl From<Token> for String {
    fn from(token: Token) -> Self {
        alloc::format!("{token}")
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn a_token_is_read_back_whatever_the_sagas_id_is() {
        for saga in ["order-4711", "eu/orders/4711", "default/0"] {
            let token = Token {
                partition: PartitionId::new(3),
                saga: SagaId::new(saga).expect("a good id"),
                node: "charge".into(),
                direction: Direction::Action,
                attempt: AttemptNumber(2),
            };
            assert_eq!(token.to_string().parse(), Ok(token));
        }
    }

    #[test]
    fn other_texts_are_no_tokens() {
        for text in [
            "",
            "default/0/action/1/charge",
            "default/0/action/1//order",
            "default/0/action/1/charge/",
            "default/0/action/1/charge/$late",
            "default/0/action/+1/charge/order",
            "default/x/action/1/charge/order",
            "default/0/deed/1/charge/order",
            "other/0/action/1/charge/order",
        ] {
            assert!(text.parse::<Token>().is_err(), "{text}");
        }
    }
}
