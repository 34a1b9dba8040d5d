//! Promises 11 to 14: whatever happens in whatever order, the line is as a plain model of it says, after every step.
//!
//! A history is what happens to a small room and a few people with three replicas: they join, also again, poll, leave, hold,
//! pay; settings change, time goes by; replicas die in the middle of what they do, or sleep while others go on; Redis forgets
//! everything or comes back old. All of it is drawn from one seed ([`plan`]), and time stands still between two steps of the
//! clock. After each step Postgres is read as it is committed and held against what the model knows ([`line`]), and so is
//! every answer ([`answers`]). In the end nothing goes wrong any more, and everybody gets in ([`ending`]).
//!
//! `FRONTROW_LINE_HISTORIES=10000` sets how many, `FRONTROW_LINE_SEED=...` lets one happen again by itself, and with the other
//! so many from it on. A history that goes wrong is cut short as long as it still does, and printed. Where a process is cut
//! off is counted in its waits for the stores; on a busy machine one may be missed, and a seed need another try.

mod answers;
mod ending;
mod gate;
mod house;
mod line;
mod looks;
mod plan;
mod play;
mod seen;
mod standing;
mod tally;
mod telling;

use std::collections::VecDeque;
use std::sync::Mutex;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use rand::Rng as _;

use self::house::{House, Without};
use self::plan::Plan;
use self::play::Story;
use self::tally::Tally;

/// How many happen when nobody says: as many as a check of every change has time for.
const HISTORIES: usize = 1_500;
/// Side by side.
const HOUSES: usize = 6;
/// How often a history that goes wrong is tried again with less.
const TRIES: usize = 300;

fn number<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

/// Lets these histories happen; answers what they came to, and the first that went wrong.
async fn run(seeds: Vec<u64>, without: Without) -> (Tally, Option<String>) {
    let houses = HOUSES.min(seeds.len());
    let seeds = Mutex::new(VecDeque::from(seeds));
    let mut all = Tally::default();
    let mut wrong = None;
    let happening = (0..houses).map(|_| one_house(&seeds, without));
    let happening: FuturesUnordered<_> = happening.collect();
    for (tally, story) in happening.collect::<Vec<_>>().await {
        all.add(&tally);
        wrong = wrong.or(story);
    }
    (all, wrong)
}

/// One after another, as long as all goes well.
async fn one_house(seeds: &Mutex<VecDeque<u64>>, without: Without) -> (Tally, Option<String>) {
    let mut house = House::build(without).await;
    let mut tally = Tally::default();
    loop {
        let next = seeds.lock().unwrap().pop_front();
        let Some(seed) = next else {
            return (tally, None);
        };
        let plan = Plan::of(seed);
        let story = house.play(&plan).await;
        tally.add(&story.tally);
        if story.wrong.is_some() {
            // Nothing more is begun.
            seeds.lock().unwrap().clear();
            // A control only asks whether.
            let wrong = match without {
                Without::Nothing => shortened(&mut house, plan, story).await,
                _ => told(&plan, &story),
            };
            return (tally, Some(wrong));
        }
    }
}

/// What goes wrong, without its numbers.
fn kind_of(story: &Story) -> Option<String> {
    let (_, why) = story.wrong.as_ref()?;
    Some(why.chars().filter(|char| !char.is_ascii_digit()).collect())
}

/// The shortest history that still goes wrong so, readably.
async fn shortened(house: &mut House, plan: Plan, story: Story) -> String {
    let (mut plan, mut story) = (plan, story);
    let wrong = kind_of(&story);
    let mut tries = 0..TRIES;
    let mut chunk = plan.acts.len();
    while chunk > 0 {
        let mut from = 0;
        while from < plan.acts.len() {
            if tries.next().is_none() {
                break;
            }
            let shorter = plan.without(from..(from + chunk).min(plan.acts.len()));
            let tried = house.play(&shorter).await;
            if kind_of(&tried) == wrong {
                (plan, story) = (shorter, tried);
            } else {
                from += chunk;
            }
        }
        chunk /= 2;
    }
    told(&plan, &story)
}

fn told(plan: &Plan, story: &Story) -> String {
    let why = story.wrong.as_ref().map_or("", |(_, why)| why);
    format!("seed {}: {why}\n{}", plan.seed, story.lines.join("\n"))
}

fn seeds(from: u64, count: usize) -> Vec<u64> {
    (from..).take(count).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promises_11_to_14_hold_in_random_histories_of_the_line() {
    let count = number("FRONTROW_LINE_HISTORIES");
    let seeds = match number("FRONTROW_LINE_SEED") {
        Some(first) => seeds(first, count.unwrap_or(1)),
        None => seeds(rand::rng().random_range(0..1 << 48), count.unwrap_or(HISTORIES)),
    };
    let count = seeds.len();
    let (tally, wrong) = run(seeds, Without::Nothing).await;
    assert!(wrong.is_none(), "{}", wrong.unwrap_or_default());
    println!("{count} histories: {:?}", tally.0);
    if count >= HISTORIES {
        let rare = tally.rarer_than(count as u64 / 300);
        assert!(rare.is_empty(), "hardly ever happens: {rare:?}");
    }
}

/// What the first of always the same histories that goes wrong comes to.
async fn without(what: Without) -> String {
    let telling = |seed: &u64| Plan::of(*seed).sleeps_over_a_change();
    let (_, wrong) = run((1..).filter(telling).take(300).collect(), what).await;
    wrong.expect("some history goes wrong")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_without_the_count_of_places_the_page_overflows() {
    let wrong = without(Without::CountOfPlaces).await;
    assert!(wrong.contains("promise 11"), "{wrong}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_without_the_capacity_of_visits_the_page_overflows() {
    // The column becomes as large as whatever a statement demands of it.
    let wrong = without(Without::Sql(
        "CREATE DOMAIN any_capacity AS integer;
         ALTER TABLE rooms ALTER capacity TYPE any_capacity;
         CREATE FUNCTION is_enough(any_capacity, integer) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
         CREATE OPERATOR >= (FUNCTION = is_enough, LEFTARG = any_capacity, RIGHTARG = integer)",
    ))
    .await;
    assert!(wrong.contains("promise 11"), "{wrong}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_without_the_kept_serving_number_the_line_goes_back() {
    let wrong = without(Without::Sql(
        "CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             NEW.serving := 0;
             RETURN NEW;
         END $$;
         CREATE TRIGGER forget BEFORE UPDATE ON rooms FOR EACH ROW WHEN (OLD.epoch < NEW.epoch)
         EXECUTE FUNCTION forget()",
    ))
    .await;
    assert!(wrong.contains("promise 12"), "{wrong}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_without_reserved_numbers_one_is_given_twice() {
    let wrong = without(Without::Sql(
        "CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             NEW.issued_to := OLD.issued_to;
             NEW.reserved_to := OLD.issued_to;
             RETURN NEW;
         END $$;
         CREATE TRIGGER forget BEFORE UPDATE ON rooms FOR EACH ROW WHEN (OLD.epoch < NEW.epoch)
         EXECUTE FUNCTION forget()",
    ))
    .await;
    assert!(
        [
            "was given twice",
            "of another",
            "goes back",
            "was given after",
            "was answered to"
        ]
        .iter()
        .any(|told| wrong.contains(told)),
        "{wrong}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_without_the_index_of_live_visits_a_user_is_inside_twice() {
    let wrong = without(Without::Sql("DROP INDEX visits_user_has_one_live")).await;
    assert!(wrong.contains("promise 13"), "{wrong}");
}
