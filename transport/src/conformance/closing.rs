//! The end.

use super::*;
use crate::{ConsumeError, ConsumerError, WhyUndelivered};

/// A closed transport takes nothing, gives messages back and says that it is closed.
pub async fn a_closed_transport_refuses_everything(transport: &dyn Transport) {
    let queue = declared(transport, 10).await;
    let mut consumer = consume(transport, &queue).await;
    transport.close().await;

    let published = transport.publish(vec![message(&queue, "a")]).await;
    let given_back = published.expect_err("it is closed").0;
    assert_eq!(given_back[0].why, WhyUndelivered::Closed);
    let receiving = consumer.receive(&mut Vec::new(), 1).await;
    assert_eq!(receiving, Err(ConsumerError::Closed));
    assert_eq!(consumer.is_empty().await, Err(ConsumerError::Closed));
    let consuming = transport.consume(&queue, 1).await;
    assert!(matches!(consuming, Err(ConsumeError::Closed)));
}

/// Closing wakes those who wait: for a message, for an acknowledgement, for room.
pub async fn closing_wakes_who_waits(transport: &dyn Transport) {
    let idle = queue("cmd.shipping");
    let declared_idle = transport.declare(&idle, 1).await;
    declared_idle.expect("a new queue can be declared");
    let queue = declared(transport, 1).await;
    publish(transport, &queue, &["a"]).await;
    let mut busy = consume_up_to(transport, &queue, 1).await;
    receive(&mut *busy, 1).await;
    publish(transport, &queue, &["b"]).await;

    let mut waiting = consume(transport, &idle).await;
    let (mut nothing, mut nothing_more) = (Vec::new(), Vec::new());
    let (message, acknowledgement, (), ()) = tokio::join!(
        waiting.receive(&mut nothing, 1),
        busy.receive(&mut nothing_more, 1),
        transport.room(&queue),
        transport.close()
    );
    assert_eq!(message, Err(ConsumerError::Closed));
    assert_eq!(acknowledgement, Err(ConsumerError::Closed));
}
