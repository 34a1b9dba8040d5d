//! The line with two replicas of queue and of the gateway, while they and Redis are killed and frozen: nobody is let in over
//! capacity, nobody who holds a token loses a place, and the line goes on by itself.

use std::cell::Cell;
use std::time::Duration;

use end_to_end::{Answer, Buyer};
use futures::future::join;
use reqwest::Method;
use serde_json::Value;
use test_support::eventually;

use crate::pause_ms;
use crate::twins::{CAPACITY, GATEWAYS, QUEUES, RESUMED, Twins};

/// A gateway waits so long for a frozen replica, and who asks there for the gateway.
const STUCK: Duration = Duration::from_secs(3);
/// A claim that its process does not finish keeps its place for 5 s.
const CLAIM: Duration = Duration::from_secs(5);

#[tokio::test]
async fn promises_11_to_13_the_line_goes_on_whichever_replica_of_queue_or_gateway_is_killed() {
    let twins = Twins::start().await;
    let services = &twins.world.services;
    let strikes = async {
        for victim in [QUEUES[1], GATEWAYS[1], QUEUES[0], GATEWAYS[0]] {
            let killed = twins.now().await;
            services.kill(victim).await;
            // The control: nobody is there any more.
            let url = services.admin_url(victim).await;
            assert!(
                reqwest::get(format!("{url}/healthz"))
                    .await
                    .is_err_and(|error| error.is_connect())
            );
            let other_goes_on = twins.resumed_within(RESUMED, killed).await;
            pause_ms(1_000).await;
            services.start(victim).await;
            let goes_on = twins.resumed_within(RESUMED, twins.now().await).await;
            println!("{victim}: let in {other_goes_on:.1?} after the kill, {goes_on:.1?} after the start");
        }
        for queue in QUEUES {
            services.kill(queue).await;
        }
        pause_ms(2_000).await;
        for queue in QUEUES {
            services.start(queue).await;
        }
        let resumed = twins.resumed_within(RESUMED, twins.now().await).await;
        println!("both queues: let in {resumed:.1?} after the start");
    };
    let walked = twins.walk_during(strikes).await;
    println!("{walked:?}");
    assert!(walked.refused > 0 && walked.turns > 50, "{walked:?}");
}

#[tokio::test]
async fn promises_3_and_11_to_13_the_line_goes_on_when_redis_is_killed_with_all_it_knew_or_frozen_for_30_s() {
    let twins = Twins::start().await;
    let redis = &twins.world.redis;
    let strikes = async {
        for round in 1..=3 {
            redis.kill().await;
            // The control: nobody is let in while nobody is there.
            pause_ms(1_500).await;
            let alone = twins.now().await;
            pause_ms(1_500).await;
            assert_eq!(twins.let_in_since(alone).await, 0);
            redis.start_empty().await;
            let resumed = twins.resumed_within(RESUMED, twins.now().await).await;
            println!("redis killed, {round}: let in {resumed:.1?} after the start");
            pause_ms(2_000).await;
        }
        redis.pause().await;
        pause_ms(5_000).await;
        let frozen = twins.now().await;
        pause_ms(25_000).await;
        assert_eq!(twins.let_in_since(frozen).await, 0);
        redis.resume().await;
        let resumed = twins.resumed_within(RESUMED, twins.now().await).await;
        println!("redis frozen for 30 s: let in {resumed:.1?} after the thaw");
    };
    let walked = twins.walk_during(strikes).await;
    println!("{walked:?}");
    assert!(walked.refused > 0 && walked.turns > 50, "{walked:?}");
}

#[tokio::test]
async fn promises_11_to_13_a_replica_that_is_frozen_in_mid_tick_and_thawed_changes_nothing_by_what_it_had_planned()
 {
    let twins = Twins::start().await;
    let services = &twins.world.services;
    let mut line = Line::of(&twins, 8).await;
    // The lock is given in the order in which it was asked for: once each plan is the one that is committed.
    for (first, stale) in [(QUEUES[0], "refused"), (QUEUES[1], "committed")] {
        let second = if first == QUEUES[0] { QUEUES[1] } else { QUEUES[0] };
        // A line at rest, so that what the replicas do next is to call the next number.
        line.at_rest(&twins).await;
        services.pause(second).await;
        let held = twins
            .hold("SELECT FROM rooms WHERE concert_id = $1::uuid FOR NO KEY UPDATE")
            .await;
        line.first_leaves(&twins, if first == QUEUES[0] { 0 } else { 1 })
            .await;
        twins.until_it_waits(first, "INSERT INTO calls").await;
        services.resume(second).await;
        // The control: both want to call the same number, and both believe that they may.
        twins.until_it_waits(second, "INSERT INTO calls").await;
        services.pause(QUEUES[1]).await;
        let frozen = twins.now().await;
        held.release().await;

        line.next_enters(&twins).await;
        let goes_on = twins.resumed_within(RESUMED, frozen).await;
        println!("frozen with a plan that is {stale}: let in {goes_on:.1?} after the freeze");
        for _ in 0..2 {
            line.first_leaves(&twins, 0).await;
            line.next_enters(&twins).await;
        }
        services.resume(QUEUES[1]).await;
        // It ticks again, with everything that it had in hand.
        let thawed = twins.now().await;
        line.first_leaves(&twins, 1).await;
        line.next_enters(&twins).await;
        let resumed = twins.resumed_within(RESUMED, thawed).await;
        println!("thawed: let in {resumed:.1?} after the thaw");
        line.assert_kept(&twins).await;
    }
    twins.hear_the_witness_of(4).await;
    twins.the_witness_sees_an_overflow().await;
}

#[tokio::test]
async fn promises_11_to_13_a_claim_of_a_replica_that_is_frozen_is_called_again_and_the_thawed_one_admits_nobody()
 {
    let twins = Twins::start().await;
    let services = &twins.world.services;
    let mut line = Line::of(&twins, 4).await;
    line.at_rest(&twins).await;
    line.first_leaves(&twins, 0).await;
    line.until_called(&twins).await;

    let held = twins
        .hold("SELECT pg_advisory_xact_lock(admission_lock($1::uuid))")
        .await;
    let struck = Cell::new(false);
    let claim = async {
        // Its gateway may not have heard of the call yet.
        while !struck.get() {
            let standing = line.poll_next(&twins, 1).await;
            assert!(standing.is_none_or(|standing| standing.text("status") == "WAITING"));
        }
    };
    let strike = async {
        // The control: the place is claimed in Redis, and the visit is about to be written.
        twins
            .until_it_waits(QUEUES[1], "pg_advisory_xact_lock_shared")
            .await;
        services.pause(QUEUES[1]).await;
        struck.set(true);
        held.release().await;
        twins.now().await
    };
    let ((), frozen) = join(claim, strike).await;
    // The place of the claim is in doubt, and the others go on.
    let left = twins.now().await;
    line.first_leaves(&twins, 0).await;
    line.one_after_next_enters(&twins).await;
    let goes_on = twins.resumed_within(RESUMED, left).await;
    line.next_enters(&twins).await;
    let called_again = Duration::from_secs_f64(twins.now().await - frozen);
    println!(
        "others let in {goes_on:.1?} after a place was free, the one of the claim {called_again:.1?} after the freeze"
    );
    assert!(called_again < CLAIM + RESUMED, "{called_again:?}");

    services.resume(QUEUES[1]).await;
    line.first_leaves(&twins, 1).await;
    line.next_enters(&twins).await;
    line.assert_kept(&twins).await;
    twins.hear_the_witness_of(3).await;
}

#[tokio::test]
async fn promises_11_to_13_the_line_goes_on_while_its_replicas_are_frozen_and_thawed_at_any_moment() {
    let twins = Twins::start().await;
    let services = &twins.world.services;
    let strikes = async {
        for round in 0..8_u64 {
            let queue = QUEUES[usize::from(round % 3 == 2)];
            // Shorter and longer than a claim is good for.
            let frozen_ms = [400, 6_500, 1_300, 900][(round % 4) as usize];
            pause_ms(300 + 37 * round).await;
            let frozen = twins.now().await;
            services.pause(queue).await;
            let goes_on = twins.resumed_within(STUCK + RESUMED, frozen).await;
            pause_ms(frozen_ms).await;
            services.resume(queue).await;
            let resumed = twins.resumed_within(RESUMED, twins.now().await).await;
            println!("{queue} frozen: let in {goes_on:.1?} after the freeze, {resumed:.1?} after the thaw");
        }
    };
    let walked = twins.walk_during(strikes).await;
    println!("{walked:?}");
    assert!(walked.turns > 50, "{walked:?}");
}

/// People who move only when told to: as many as there are places on the page, and some in line.
struct Line<'a> {
    inside: Vec<Place<'a>>,
    waiting: Vec<Place<'a>>,
}

struct Place<'a> {
    buyer: Buyer<'a>,
    number: Value,
}

impl<'a> Line<'a> {
    async fn of(twins: &'a Twins, in_line: usize) -> Self {
        let (mut inside, mut waiting) = (Vec::new(), Vec::new());
        for _ in 0..CAPACITY as usize + in_line {
            let mut buyer = twins.world.buyer().await;
            let number = eventually("a place", async || {
                let joined = buyer.join(&twins.sale.concert_id).await;
                joined.is_success().then(|| joined.body["number"].clone())
            })
            .await;
            let place = Place { buyer, number };
            // Before the next one joins, so that nobody is called who is to wait.
            if inside.len() < CAPACITY as usize {
                place.enters(twins).await;
                inside.push(place);
            } else {
                waiting.push(place);
            }
        }
        Self { inside, waiting }
    }

    /// Waits until the replicas have nothing to write.
    async fn at_rest(&self, twins: &Twins) {
        eventually("the line to be at rest", async || {
            let before = twins.noted().await;
            pause_ms(600).await;
            (twins.noted().await == before).then_some(())
        })
        .await;
    }

    /// Who has been inside the longest leaves, through one of the gateways.
    async fn first_leaves(&mut self, twins: &Twins, gateway: usize) {
        let leaver = self.inside.remove(0).buyer;
        eventually("the page to be left", async || {
            leaver.ask_at(twins, gateway, Method::DELETE).await
        })
        .await;
    }

    /// Who is next is let in, by the gateway whose queue is never frozen.
    async fn next_enters(&mut self, twins: &Twins) {
        let next = self.waiting.remove(0);
        next.enters(twins).await;
        self.inside.push(next);
    }

    async fn one_after_next_enters(&mut self, twins: &Twins) {
        let next = self.waiting.remove(1);
        next.enters(twins).await;
        self.inside.push(next);
    }

    async fn until_called(&self, twins: &Twins) {
        let path = format!("/v1/concerts/{}/queue", twins.sale.concert_id);
        eventually("the next number to be called", async || {
            let room = Answer::to(twins.world.get(&path)).await.expect(200);
            (room["servingNumber"] == self.waiting[0].number).then_some(())
        })
        .await;
    }

    async fn poll_next(&self, twins: &Twins, gateway: usize) -> Option<Answer> {
        self.waiting[0].buyer.ask_at(twins, gateway, Method::GET).await
    }

    /// Everybody stands where they stood, whoever is asked; a gateway may hear of it a moment later than the other.
    async fn assert_kept(&self, twins: &Twins) {
        for gateway in [0, 1] {
            for (places, status) in [(&self.inside, "PROCESSING"), (&self.waiting, "WAITING")] {
                for place in places {
                    eventually(&format!("number {} to be {status}", place.number), async || {
                        let standing = place.buyer.ask_at(twins, gateway, Method::GET).await?;
                        assert_eq!(
                            standing.body["number"], place.number,
                            "promise 13: {}",
                            standing.body
                        );
                        (standing.text("status") == status).then_some(())
                    })
                    .await;
                }
            }
        }
    }
}

impl Place<'_> {
    async fn enters(&self, twins: &Twins) {
        eventually(&format!("number {} to be let in", self.number), async || {
            let standing = self.buyer.ask_at(twins, 0, Method::GET).await?;
            (standing.text("status") == "PROCESSING").then_some(())
        })
        .await;
    }
}

/// Asks one of the gateways about the own place.
trait AskAt {
    async fn ask_at(&self, twins: &Twins, gateway: usize, method: Method) -> Option<Answer>;
}

impl AskAt for Buyer<'_> {
    async fn ask_at(&self, twins: &Twins, gateway: usize, method: Method) -> Option<Answer> {
        let request = twins.request_at(gateway, method, "/v1/queue");
        let answer = Answer::attempt(request.header("Queue-Token", &self.queue_token))
            .await
            .ok();
        answer.filter(Answer::is_success)
    }
}
