use concert::startup::Application;
use concert::store::MIGRATOR;
use service_kit::admin;
use test_support::{TestDatabase, TestRedis, eventually, serve_grpc};

use crate::peers::Peers;
use crate::world::{client, config};

#[tokio::test]
async fn the_process_is_ready_when_the_demonstration_is_on_sale_and_stops_when_told() {
    let (database, redis) = tokio::join!(TestDatabase::create(&MIGRATOR), TestRedis::start());
    let peers = Peers::default();
    peers.script().booking_down = true;
    let peers_url = serve_grpc(peers.routes()).await;
    let application = Application::build(config(&database, &redis, &peers_url, &[("SEED_DEMO", "true")]))
        .await
        .unwrap();
    let (grpc, admin_addr) = (application.grpc_addr(), application.admin_addr());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let process = tokio::spawn(application.run_until_stopped(async {
        let _ = stopped.await;
    }));

    eventually("the first opening", async || {
        let refusal = admin::healthcheck(admin_addr).await.unwrap_err().to_string();
        (refusal.contains("seed") && !refusal.contains("database")).then_some(())
    })
    .await;
    peers.script().booking_down = false;
    eventually("readiness", async || admin::healthcheck(admin_addr).await.ok()).await;

    let mut client = client(&format!("http://{grpc}"));
    let request = contracts::concert::SearchConcertsRequest {
        query: "하늘".to_owned(),
        ..Default::default()
    };
    let found = client.search_concerts(request).await.unwrap().into_inner();
    assert_eq!(found.concerts.len(), 1);
    assert_eq!(found.concerts[0].schedules.len(), 2);

    drop(client);
    stop.send(()).unwrap();
    process.await.unwrap().unwrap();
}
