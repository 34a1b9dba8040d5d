//! How often one user, and one address, may ask for a place in line.

use end_to_end::{Answer, Buyer, Sale, SaleOptions, World};
use reqwest::{Method, RequestBuilder};
use serde_json::json;

const PER_USER: usize = 3;
const PER_ADDRESS: usize = 8;
/// What comes back of a minute's worth while a slow machine gets there.
const COMES_BACK: usize = 3;

async fn world() -> World {
    World::with_env(&[
        ("JOINS_PER_USER", "3"),
        ("JOINS_PER_ADDRESS", "8"),
        // The tests stand behind a proxy, and say whom it was called by.
        ("TRUSTED_PROXIES", "127.0.0.0/8"),
    ])
    .await
}

fn join(buyer: &Buyer<'_>, sale: &Sale, address: &str) -> RequestBuilder {
    let path = format!("/v1/concerts/{}/queue-tokens", sale.concert_id);
    let request = buyer.world.request(Method::POST, &path);
    request
        .bearer_auth(&buyer.access_token)
        .header("X-Forwarded-For", address)
}

/// It is refused by this limit, and told when to come again.
fn expect_refused(answer: Answer, limit: &str, per_minute: usize) {
    let wait: usize = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60 / per_minute + 1).contains(&wait), "{wait} s");
    let body = answer.expect_problem(429, "too-many-requests");
    assert_eq!(body["limit"], limit, "{body}");
    assert!(body["detail"].as_str().unwrap().contains(limit), "{body}");
}

/// Asks until refused; answers that, and how many were let through.
async fn until_refused(ask: impl AsyncFn() -> Answer) -> (Answer, usize) {
    for passed in 0..50 {
        let answer = ask().await;
        if !answer.is_success() {
            return (answer, passed);
        }
    }
    panic!("never refused");
}

#[tokio::test]
async fn a_user_who_joins_again_and_again_is_told_to_wait_and_keeps_the_place() {
    let world = world().await;
    let sale = Sale::open(&world, SaleOptions::default()).await;
    let mut buyer = world.buyer().await;
    buyer.join(&sale.concert_id).await.expect(201);
    let addresses = std::cell::Cell::new(0);
    let (refused, passed) = until_refused(async || {
        // Wherever it comes from.
        addresses.set(addresses.get() + 1);
        Answer::to(join(&buyer, &sale, &format!("198.51.100.{}", addresses.get()))).await
    })
    .await;
    assert!(
        (PER_USER - 1..PER_USER + COMES_BACK).contains(&passed),
        "{passed}"
    );
    expect_refused(refused, "user", PER_USER);

    // Polling is not joining, and nobody else has to wait.
    buyer.poll_until("PROCESSING").await;
    let mut other = world.buyer().await;
    other.join(&sale.concert_id).await.expect(201);
    let metrics = reqwest::get(format!("{}/metrics", world.services.admin_url("gateway").await));
    let metrics = metrics.await.unwrap().text().await.unwrap();
    assert!(
        metrics.contains(r#"gateway_joins_refused_total{limit="user"} 1"#),
        "{metrics}"
    );
}

#[tokio::test]
async fn an_address_that_joins_for_many_is_told_to_wait_by_its_network_and_logins_count() {
    let world = world().await;
    let sale = Sale::open(&world, SaleOptions::default()).await;
    let crowd: Vec<_> = futures::future::join_all((0..PER_ADDRESS + COMES_BACK).map(|_| world.buyer())).await;
    let next = std::cell::Cell::new(0);
    // Half of them join, half log in to it, all from one network.
    let address = |host: usize| format!("2001:db8:0:7::{host:x}");
    let (refused, passed) = until_refused(async || {
        let who = next.replace(next.get() + 1);
        let buyer = &crowd[who % crowd.len()];
        if who.is_multiple_of(2) {
            return Answer::to(join(buyer, &sale, &address(who))).await;
        }
        let credentials =
            json!({ "email": buyer.email, "password": Buyer::PASSWORD, "concertId": sale.concert_id });
        let login = world.post("/v1/auth/login", &credentials);
        let answer = Answer::to(login.header("X-Forwarded-For", address(who))).await;
        assert!(
            !answer.is_success() || answer.body["queueToken"].is_object(),
            "{}",
            answer.body
        );
        answer
    })
    .await;
    assert!(
        (PER_ADDRESS..PER_ADDRESS + COMES_BACK).contains(&passed),
        "{passed}"
    );
    expect_refused(refused, "address", PER_ADDRESS);

    // A login that joins no line is none of this, and a wrong password is not even looked at.
    let last = crowd.last().unwrap();
    let login = |password: &str, concert: Option<&str>| {
        let credentials = json!({ "email": last.email, "password": password, "concertId": concert });
        let request = world.post("/v1/auth/login", &credentials);
        Answer::to(request.header("X-Forwarded-For", address(99)))
    };
    login(Buyer::PASSWORD, None).await.expect(200);
    let (refused, _) = until_refused(async || {
        let answer = login("not the password", Some(&sale.concert_id)).await;
        // One may have come back in the meantime.
        match answer.status {
            401 => Answer {
                status: 200,
                ..answer
            },
            _ => answer,
        }
    })
    .await;
    expect_refused(refused, "address", PER_ADDRESS);
    // The network beside it is another.
    Answer::to(join(last, &sale, "2001:db8:0:8::1")).await.expect(201);
}
