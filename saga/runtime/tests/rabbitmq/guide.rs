//! The code of the guide's section on brokers, run.

use std::{error::Error, sync::Arc};

use sagalog::{Client, Ended, MemoryLog, RabbitMq, Runtime, Worker};
use tokio::sync::oneshot;

use crate::{
    broker::Broker,
    trip::{TRIP, in_time, travel, trip, worker},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_guide_s_runtime_is_served_by_the_guide_s_worker() {
    in_time(async {
        let url = Broker::shared().url();
        let (stop, stopped) = oneshot::channel();
        // It ends by itself if the other one does.
        let stopped = async move { _ = stopped.await };
        let (served, drove) = tokio::join!(serve(&url, worker(), stopped), async {
            let drove = drive(&url).await;
            stop.send(()).expect("it serves");
            drove
        });
        served.expect("it stops in peace");
        drove.expect("it stops in peace");
    })
    .await;
}

async fn serve(
    url: &str,
    worker: Worker,
    stopped: impl Future<Output = ()> + Send,
) -> Result<(), Box<dyn Error>> {
    let transport = Arc::new(RabbitMq::connect(url).await?);
    worker.serve(transport, stopped).await?;
    Ok(())
}

async fn drive(url: &str) -> Result<(), Box<dyn Error>> {
    let log = Arc::new(MemoryLog::new());
    let transport = Arc::new(RabbitMq::connect(url).await?);
    let runtime = Runtime::on(log)
        .transport(transport)
        .definition(trip())
        .elsewhere("hotel")
        .elsewhere("flight")
        .elsewhere("mail")
        .start()
        .await?;
    for number in 0..3 {
        travel(&runtime.client(), number).await;
    }
    call(url).await?;
    runtime.stop().await?;
    Ok(())
}

async fn call(url: &str) -> Result<(), Box<dyn Error>> {
    let transport = Arc::new(RabbitMq::connect(url).await?);
    let client = Client::connect(transport);
    let ended = client.run(TRIP, "t-1", &"Rome".to_owned()).await?;
    let there = "a room in Rome, a seat to Rome".to_owned();
    assert_eq!(ended, Ended::Completed(there));
    Ok(())
}
