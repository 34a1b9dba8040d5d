//! A room that opens later: who comes before is put in random order, and everybody can check that it was so.

use std::path::PathBuf;
use std::process::{Command, Output};

use end_to_end::{Answer, Buyer, Sale, SaleOptions, World};
use serde_json::{Value, json};
use test_support::eventually;

const GATHER: usize = 8;

/// `frontrow-verify`, built with the services.
fn verify(arguments: &[&str]) -> Output {
    // target/<profile>/deps/<this test>
    let tests = std::env::current_exe().unwrap();
    let program: PathBuf = tests.parent().unwrap().with_file_name("frontrow-verify");
    Command::new(program).args(arguments).output().unwrap()
}

/// The documents of a draw, as files.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(test_support::unique_name("fair_opening"));
        std::fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    fn keep(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

async fn room(world: &World, sale: &Sale) -> Value {
    Answer::to(world.get(&format!("/v1/concerts/{}/queue", sale.concert_id)))
        .await
        .expect(200)
}

async fn user_id(buyer: &Buyer<'_>) -> String {
    use base64::Engine as _;
    let claims = buyer.access_token.split('.').nth(1).unwrap();
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(claims)
        .unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    claims["sub"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn who_comes_before_the_opening_is_drawn_and_frontrow_verify_says_so() {
    let world = World::with_env(&[("CLAIM_SECONDS", "600")]).await;
    let options = SaleOptions {
        capacity: 1,
        opens_in_seconds: Some(3_600),
        ..SaleOptions::default()
    };
    let sale = Sale::open(&world, options).await;
    let files = Folder::new();

    // In the lobby: a receipt each, no number, and polls that cost nobody a call.
    let (mut buyers, mut receipts) = (Vec::new(), Vec::new());
    for index in 0..GATHER {
        let mut buyer = world.buyer().await;
        let joined = buyer.join(&sale.concert_id).await.expect(201);
        assert_eq!(
            (
                &joined["status"],
                &joined["phase"],
                &joined["number"],
                &joined["position"]
            ),
            (&json!("WAITING"), &json!("LOBBY"), &Value::Null, &Value::Null),
            "{joined}"
        );
        assert_eq!(joined["receipt"]["index"], index);
        let again = buyer.join(&sale.concert_id).await.expect(200);
        assert_eq!(again["receipt"], joined["receipt"]);
        assert_eq!(buyer.poll().await["phase"], "LOBBY");
        receipts.push(joined);
        buyers.push(buyer);
    }
    buyers[0]
        .get("/v1/queue/proof")
        .await
        .expect_problem(409, "draw-pending");
    let gathering = eventually("everybody in the public record", async || {
        Some(room(&world, &sale).await).filter(|room| room["waiting"] == GATHER)
    })
    .await;
    let fairness = &gathering["fairness"];
    assert_eq!(
        (
            &gathering["state"],
            &fairness["state"],
            &fairness["operatorTrusted"]
        ),
        (&json!("SCHEDULED"), &json!("GATHERING"), &json!(true))
    );
    assert!(fairness["commitment"].is_string() && fairness["secret"].is_null());
    let before = files.keep("before.json", gathering.to_string());

    // The opening comes.
    world.step_clock("queue", 3_601).await;
    let opened = eventually("the draw", async || {
        Some(room(&world, &sale).await).filter(|room| room["state"] == "OPEN")
    })
    .await;
    let record = files.keep("record.json", opened.to_string());
    let mut late = world.buyer().await;
    let joined = late.join(&sale.concert_id).await.expect(201);
    assert_eq!(
        (joined["number"].as_u64(), &joined["receipt"]),
        (Some(GATHER as u64 + 1), &Value::Null)
    );
    late.get("/v1/queue/proof").await.expect_problem(404, "not-found");

    let leaves = world
        .get(&format!("/v1/concerts/{}/queue/leaves", sale.concert_id))
        .send()
        .await
        .unwrap();
    assert_eq!(
        leaves.headers()["cache-control"],
        "public, max-age=31536000, immutable"
    );
    let leaves = leaves.bytes().await.unwrap();
    assert_eq!(leaves.len(), GATHER * 32);
    let all = files.keep("leaves.bin", &leaves);

    // Everybody checks their own number, with everything.
    let mut numbers = Vec::new();
    for (buyer, joined) in buyers.iter().zip(&receipts) {
        let proof = buyer.get("/v1/queue/proof").await.expect(200);
        let receipt = files.keep("receipt.json", joined.to_string());
        let path = files.keep("proof.json", proof.to_string());
        let user = user_id(buyer).await;
        let checked = verify(&[
            &record,
            "--before",
            &before,
            "--receipt",
            &receipt,
            "--proof",
            &path,
            "--user",
            &user,
            "--all",
            &all,
            "--json",
        ]);
        assert!(checked.status.success(), "{checked:?}");
        let verdict: Value = serde_json::from_slice(&checked.stdout).unwrap();
        assert_eq!(
            (&verdict["holds"], &verdict["number"], &verdict["count"]),
            (&json!(true), &proof["number"], &json!(GATHER))
        );
        let number = proof["number"].as_u64().unwrap();
        let standing = buyer.poll().await;
        assert_eq!(standing["number"], number);
        let again = world
            .request(
                reqwest::Method::POST,
                &format!("/v1/concerts/{}/queue-tokens", sale.concert_id),
            )
            .bearer_auth(&buyer.access_token);
        let again = Answer::to(again).await.expect(200);
        assert_eq!(
            (&again["number"], &again["receipt"]),
            (&json!(number), &joined["receipt"])
        );
        numbers.push(number);

        // Somebody else's proof of the same lobby is refused, and says why.
        let mut tampered = proof.clone();
        tampered["number"] = json!(number % GATHER as u64 + 1);
        let path = files.keep("tampered.json", tampered.to_string());
        let refused = verify(&[&record, "--receipt", &receipt, "--proof", &path]);
        assert_eq!(refused.status.code(), Some(1));
        let said = String::from_utf8(refused.stdout).unwrap();
        assert!(said.contains(&format!("the number is {number}")), "{said}");
    }
    let mut sorted = numbers.clone();
    sorted.sort_unstable();
    assert!(sorted.into_iter().eq(1..=GATHER as u64));
    assert!(
        !numbers.is_sorted(),
        "the order is not that of arrival: {numbers:?}"
    );

    // Everybody is let in once, in the drawn order, and the late comer after them.
    let mut line: Vec<_> = numbers.iter().zip(&buyers).collect();
    line.sort_unstable_by_key(|(number, _)| **number);
    for (number, buyer) in line {
        assert_eq!(late.poll().await["status"], "WAITING");
        let page = buyer.poll_until("PROCESSING").await;
        assert_eq!(page["number"], *number);
        assert_eq!(buyer.leave().await.status, 204);
        assert_eq!(buyer.poll().await["status"], "EXPIRED");
    }
    late.poll_until("PROCESSING").await;
}

#[tokio::test]
async fn who_was_drawn_buys_as_everybody_does() {
    let world = World::with_env(&[("CLAIM_SECONDS", "600")]).await;
    let options = SaleOptions {
        prices: (0, 0),
        opens_in_seconds: Some(3_600),
        ..SaleOptions::default()
    };
    let sale = Sale::open(&world, options).await;
    let mut buyers = Vec::new();
    for _ in 0..3 {
        let mut buyer = world.buyer().await;
        buyer.join(&sale.concert_id).await.expect(201);
        buyers.push(buyer);
    }
    world.step_clock("queue", 3_601).await;
    for buyer in &buyers {
        buyer.poll_until("PROCESSING").await;
        let hold = buyer.hold_one(&sale).await;
        // By the queue token that made the hold: it carries the order of arrival, and is the same token still.
        let payment = json!({ "reservationId": hold["reservationId"], "points": 0 });
        let paid = world
            .post("/v1/payments", &payment)
            .header("Queue-Token", &buyer.queue_token);
        Answer::to(paid).await.expect(201);
        buyer.poll_until("COMPLETED").await;
    }
}

#[tokio::test]
async fn promise_15_receipts_and_numbers_outlive_the_kill_of_queue_and_of_redis() {
    let world = World::with_env(&[("CLAIM_SECONDS", "600")]).await;
    let options = SaleOptions {
        opens_in_seconds: Some(3_600),
        ..SaleOptions::default()
    };
    let sale = Sale::open(&world, options).await;
    let mut buyers = Vec::new();
    for _ in 0..3 {
        let mut buyer = world.buyer().await;
        let joined = buyer.join(&sale.concert_id).await.expect(201);
        buyers.push((buyer, joined["receipt"].clone()));
    }
    let strike = async || {
        world.services.kill("queue").await;
        world.redis.kill().await;
        world.redis.start_empty().await;
        world.services.start("queue").await;
    };
    strike().await;
    for (buyer, receipt) in &mut buyers {
        let again = eventually("the lobby to be back", async || {
            let mut buyer = buyer.clone();
            Some(buyer.join(&sale.concert_id).await).filter(|answer| answer.status == 200)
        })
        .await;
        assert_eq!(&again.body["receipt"], receipt);
    }

    // Away at the opening, killed while it draws or has just drawn, and once more when people are called.
    world.services.kill("queue").await;
    world.step_clock("queue", 3_601).await;
    world.services.start("queue").await;
    strike().await;
    let mut numbers = Vec::new();
    for (buyer, _) in &buyers {
        let drawn = eventually("a number", async || {
            let answer = buyer.get("/v1/queue").await;
            Some(answer.body).filter(|standing| standing["number"].is_number())
        })
        .await;
        numbers.push(drawn["number"].as_u64().unwrap());
    }
    strike().await;
    for ((buyer, _), number) in buyers.iter().zip(&numbers) {
        let page = eventually("to be let in", async || {
            let answer = buyer.get("/v1/queue").await;
            Some(answer.body).filter(|standing| standing["status"] == "PROCESSING")
        })
        .await;
        assert_eq!(page["number"], *number);
    }
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3]);
}
