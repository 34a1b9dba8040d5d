//! Promise 7: whatever moves in whatever order, alone, at once or twice, the ledger is what a plain model says: sums in
//! memory, no SQL, no states.

mod acts;
mod run;

use std::collections::{BTreeMap, HashMap};

use payment::store::MIGRATOR;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use test_support::TestDatabase;
use tokio::runtime::Handle;
use tokio::task::block_in_place;
use vocabulary::UserId;

use run::Run;

const USERS: usize = 3;

/// Something that moves money.
#[derive(Debug, Clone)]
enum Op {
    Grant {
        user: usize,
        points: i64,
    },
    Charge {
        user: usize,
        points: i64,
        captured: bool,
    },
    Purchase {
        user: usize,
        points: i64,
        card: i64,
    },
    /// Of a payment that holds points, whichever `of` hits.
    End {
        of: usize,
        how: End,
    },
    /// Of a payment that succeeded, whichever `of` hits.
    Refund {
        of: usize,
        percent: u32,
    },
}

/// How a purchase may end.
#[derive(Debug, Clone, Copy)]
enum End {
    Posted,
    Returned,
    /// The card was captured for seats that were gone.
    CapturedTooLate,
}

/// Operations that begin at the same moment.
#[derive(Debug, Clone)]
struct Step {
    ops: Vec<Op>,
    repeat: Repeat,
}

/// How often the same operation arrives.
#[derive(Debug, Clone, Copy)]
enum Repeat {
    Never,
    AtOnce,
    Afterwards,
}

fn op() -> impl Strategy<Value = Op> {
    let user = 0..USERS;
    // A purchase is often more than there is.
    prop_oneof![
        1 => (user.clone(), 1_i64..1_000).prop_map(|(user, points)| Op::Grant { user, points }),
        1 => (user.clone(), 100_i64..1_000, any::<bool>())
            .prop_map(|(user, points, captured)| Op::Charge { user, points, captured }),
        3 => (user, 0_i64..600, prop_oneof![Just(0_i64), 100_i64..600])
            .prop_filter("pays something", |(_, points, card)| points + card > 0)
            .prop_map(|(user, points, card)| Op::Purchase { user, points, card }),
        3 => (0_usize..8, prop_oneof![Just(End::Posted), Just(End::Returned), Just(End::CapturedTooLate)])
            .prop_map(|(of, how)| Op::End { of, how }),
        2 => (0_usize..8, 0_u32..=100).prop_map(|(of, percent)| Op::Refund { of, percent }),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let repeat = prop_oneof![
        Just(Repeat::Never),
        Just(Repeat::AtOnce),
        Just(Repeat::Afterwards)
    ];
    let step = (prop::collection::vec(op(), 1..7), repeat).prop_map(|(ops, repeat)| Step { ops, repeat });
    prop::collection::vec(step, 1..14)
}

/// Accounts and amounts, as anybody would add them up.
#[derive(Debug, Clone, Default)]
struct Model {
    /// By user: balance and pending.
    wallets: HashMap<UserId, (i64, i64)>,
    /// GRANTS, HOUSE and PROVIDER.
    accounts: BTreeMap<&'static str, i64>,
    /// By user: how many lines the wallet's history has.
    lines: HashMap<UserId, usize>,
}

impl Model {
    fn move_from_to(&mut self, user_id: UserId, debit: &'static str, credit: &'static str, amount: i64) {
        if amount == 0 {
            return;
        }
        let wallet = self.wallets.entry(user_id).or_default();
        for (account, amount) in [(debit, -amount), (credit, amount)] {
            match account {
                "WALLET" => {
                    wallet.0 += amount;
                    *self.lines.entry(user_id).or_default() += 1;
                }
                "HELD" => wallet.1 += amount,
                other => *self.accounts.entry(other).or_default() += amount,
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_7_the_ledger_is_what_a_plain_model_says() {
    let database = TestDatabase::create(&MIGRATOR).await;
    let config = Config {
        cases: 48,
        failure_persistence: None,
        max_shrink_iters: 500,
        ..Config::default()
    };
    let outcome = block_in_place(|| {
        TestRunner::new(config).run(&steps(), |steps| {
            let run = Run::new(database.pool()).take(&steps);
            Handle::current().block_on(run).map_err(TestCaseError::fail)
        })
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

/// Six purchases at once of what covers two.
fn overdraft() -> [Step; 2] {
    let purchase = Op::Purchase {
        user: 0,
        points: 100,
        card: 0,
    };
    [
        Step {
            ops: vec![Op::Grant { user: 0, points: 250 }],
            repeat: Repeat::Never,
        },
        Step {
            ops: vec![purchase; 6],
            repeat: Repeat::AtOnce,
        },
    ]
}

#[tokio::test]
async fn promise_7_purchases_at_once_of_more_than_there_is_are_refused() {
    let database = TestDatabase::create(&MIGRATOR).await;
    Run::new(database.pool()).take(&overdraft()).await.unwrap();
}

#[tokio::test]
async fn control_without_its_constraint_an_overdraft_gets_through_and_the_model_notices() {
    let database = TestDatabase::create(&MIGRATOR).await;
    sqlx::query("ALTER TABLE wallets DROP CONSTRAINT wallets_balance_is_not_negative")
        .execute(database.pool())
        .await
        .unwrap();
    let difference = Run::new(database.pool()).take(&overdraft()).await.unwrap_err();
    assert!(
        difference.contains("a wallet is below zero: -350"),
        "{difference}"
    );
}
