//! What is refused, so that nothing vanishes.

use super::*;
use crate::{ConsumeError, DeclareError, WhyUndelivered};

/// A message to a queue that was not declared comes back; the others go their way.
pub async fn a_message_to_no_queue_comes_back(transport: &dyn Transport) {
    let there = declared(transport, 10).await;
    let nowhere = queue("cmd.nobody");
    let messages = vec![message(&nowhere, "a"), message(&there, "b")];
    let published = transport.publish(messages).await;
    let given_back = published.expect_err("nobody is there").0;
    assert_eq!(given_back.len(), 1);
    assert_eq!(given_back[0].message.content, "a");
    assert_eq!(given_back[0].why, WhyUndelivered::NoSuchQueue);
    let mut consumer = consume(transport, &there).await;
    assert_eq!(contents(&receive(&mut *consumer, 1).await), ["b"]);
}

/// A queue that was not declared cannot be consumed.
pub async fn an_undeclared_queue_cannot_be_consumed(transport: &dyn Transport) {
    let consumer = transport.consume(&queue("cmd.nobody"), 1).await;
    assert!(matches!(consumer, Err(ConsumeError::NoSuchQueue(_))));
}

/// Declaring the same queue again changes nothing.
pub async fn declaring_again_keeps_the_messages(transport: &dyn Transport) {
    let queue = declared(transport, 10).await;
    publish(transport, &queue, &["a"]).await;
    let again = declared(transport, 10).await;
    let mut consumer = consume(transport, &again).await;
    assert_eq!(contents(&receive(&mut *consumer, 1).await), ["a"]);
}

/// Declaring it with another capacity is refused.
pub async fn declaring_it_otherwise_is_refused(transport: &dyn Transport) {
    let queue = declared(transport, 10).await;
    let again = transport.declare(&queue, 20).await;
    assert!(matches!(again, Err(DeclareError::Different { .. })));
}
