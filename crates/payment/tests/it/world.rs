//! One payment service with all that it needs, for one test.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use contracts::PaymentClient;
use contracts::payment::{Card, GetPaymentRequest, PayRequest, PayResponse, Payment, PaymentStatus, Wallet};
use payment::app::{App, Settings, grant};
use payment::booking::Booking;
use payment::config::Config;
use payment::provider::{PaymentProvider, TossProvider};
use payment::startup::Application;
use payment::store::{MIGRATOR, Store};
use serde_json::Value;
use service_kit::config::{Environment, load_from};
use service_kit::grpc::client::UpstreamConfig;
use service_kit::problem::Problem;
use test_support::{TestDatabase, environment, serve_grpc, unique_name};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use vocabulary::{Amount, ReservationId, UserId};

use crate::booking::{Handle, ScriptedBooking, token_of};

const SECRET_KEY: &str = "test_sk_frontrow";
/// Longer than any lease under the settings of these tests.
pub(crate) const LEASE: Duration = Duration::from_secs(60);

/// A hold that can be paid.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hold {
    pub reservation_id: ReservationId,
    pub user_id: UserId,
}

pub(crate) struct World {
    pub database: TestDatabase,
    pub booking: Arc<ScriptedBooking>,
    pub config: Config,
    pub client: PaymentClient,
    pub admin_addr: SocketAddr,
    /// What a process of this service is configured by.
    pub values: std::collections::BTreeMap<String, String>,
    pub provider_url: String,
    provider: CancellationToken,
    process: CancellationToken,
    running: JoinHandle<anyhow::Result<()>>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.process.cancel();
        self.provider.cancel();
    }
}

impl World {
    /// Patient with callers; nothing is resumed but by [`App::resume_once`].
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// With other settings than those.
    pub(crate) async fn with(settings: &[(&str, &str)]) -> Self {
        let stop = CancellationToken::new();
        let provider_url = simulator(stop.clone()).await;
        Self::against(provider_url, settings, stop).await
    }

    /// With another provider than the simulator.
    pub(crate) async fn against(
        provider_url: String,
        settings: &[(&str, &str)],
        stop: CancellationToken,
    ) -> Self {
        let database = TestDatabase::create(&MIGRATOR).await;
        let booking = Arc::new(ScriptedBooking::default());
        let service = contracts::booking_server(Handle(Arc::clone(&booking)));
        let booking_url = serve_grpc(tonic::service::Routes::new(service)).await;

        let mut values = environment([
            ("GRPC_ADDR", "127.0.0.1:0"),
            ("ADMIN_ADDR", "127.0.0.1:0"),
            ("DATABASE_URL", database.url()),
            ("BOOKING_URL", &booking_url),
            ("PROVIDER_URL", &provider_url),
            ("PROVIDER_SECRET_KEY", SECRET_KEY),
            ("DATABASE_ACQUIRE_TIMEOUT_MS", "20000"),
            ("PAY_WAIT_MS", "8000"),
            ("PAYMENT_RETRY_MIN_MS", "20"),
            ("PAYMENT_RETRY_MAX_MS", "200"),
            ("RESUME_EVERY_MS", "60000"),
            ("REFUND_SCHEDULES_EVERY_MS", "60000"),
            ("DRAIN_SECONDS", "10"),
        ]);
        values.extend(environment(settings.iter().copied()));
        let config = load_from(values.clone(), Config::read).unwrap();

        let application = Application::build(config.clone()).await.unwrap();
        let client = client(&format!("http://{}", application.grpc_addr()));
        let admin_addr = application.admin_addr();
        let process = CancellationToken::new();
        let running = tokio::spawn(application.run_until_stopped(process.clone().cancelled_owned()));
        Self {
            database,
            booking,
            config,
            client,
            admin_addr,
            values,
            provider_url,
            provider: stop,
            process,
            running,
        }
    }

    /// Tells the process to stop, and waits until it has.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<()> {
        self.process.cancel();
        (&mut self.running).await.unwrap()
    }

    /// Another process of the same service, whose sagas die with their futures.
    pub(crate) fn replica(&self) -> App {
        self.replica_with(Arc::new(TossProvider::new(&self.config.provider).unwrap()))
    }

    pub(crate) fn replica_with(&self, provider: Arc<dyn PaymentProvider>) -> App {
        self.replica_of(provider, self.config.settings.clone())
    }

    pub(crate) fn replica_of(&self, provider: Arc<dyn PaymentProvider>, settings: Settings) -> App {
        App::new(
            self.store(),
            Booking::new(self.config.booking.channel().unwrap()),
            provider,
            settings,
            CancellationToken::new(),
        )
    }

    pub(crate) fn store(&self) -> Store {
        Store::new(self.database.pool().clone())
    }

    /// A hold of 10,000 won, by a user with as many points.
    pub(crate) async fn hold(&self) -> Hold {
        self.hold_with(10_000, 10_000).await
    }

    pub(crate) async fn hold_with(&self, total: i64, points: i64) -> Hold {
        let hold = self.booking.hold(total, "KRW");
        if points > 0 {
            let amount = Amount::new(points).unwrap();
            grant(&self.store(), hold.user_id, amount, &unique_name("test"))
                .await
                .unwrap();
        }
        hold
    }

    pub(crate) async fn pay(
        &self,
        hold: &Hold,
        points: i64,
        card: Option<&str>,
    ) -> Result<PayResponse, Problem> {
        self.send(request(hold, points, card)).await
    }

    pub(crate) async fn send(&self, request: PayRequest) -> Result<PayResponse, Problem> {
        let answer = self.client.clone().pay(request).await;
        answer.map(tonic::Response::into_inner).map_err(Problem::from)
    }

    pub(crate) async fn payment(&self, user_id: UserId, payment_id: &str) -> Result<Payment, Problem> {
        let request = GetPaymentRequest {
            user_id: user_id.to_string(),
            payment_id: payment_id.to_owned(),
        };
        let answer = self.client.clone().get_payment(request).await;
        answer
            .map(|answer| answer.into_inner().payment.unwrap())
            .map_err(Problem::from)
    }

    pub(crate) async fn wallet(&self, hold: &Hold) -> (i64, i64) {
        self.wallet_of(hold.user_id).await
    }

    pub(crate) async fn wallet_of(&self, user_id: UserId) -> (i64, i64) {
        let request = contracts::payment::GetWalletRequest {
            user_id: user_id.to_string(),
        };
        let answer = self.client.clone().get_wallet(request).await.unwrap();
        let Wallet { balance, pending } = answer.into_inner().wallet.unwrap();
        (balance, pending)
    }

    /// Resumes what is due now, and what that leads to, until nothing is open.
    pub(crate) async fn settle(&self, app: &App) {
        for _ in 0..50 {
            if self.open_sagas().await == 0 {
                return;
            }
            // Waits are over, and so are leases of the dead.
            self.database.step_clock(LEASE).await;
            app.resume_once().await.unwrap();
        }
        panic!("something stays open");
    }

    pub(crate) async fn open_sagas(&self) -> i64 {
        sqlx::query_scalar(
            "SELECT count(*) FROM (
                 SELECT resume_at FROM payments UNION ALL SELECT resume_at FROM charges
                 UNION ALL SELECT resume_at FROM refunds
             ) AS sagas WHERE resume_at IS NOT NULL",
        )
        .fetch_one(self.database.pool())
        .await
        .unwrap()
    }

    /// Won captured and given back at the provider.
    pub(crate) async fn provider_totals(&self) -> (i64, i64) {
        let books = self.provider_books().await;
        (
            books["capturedAmount"].as_i64().unwrap(),
            books["canceledAmount"].as_i64().unwrap(),
        )
    }

    /// What somebody gives back at the provider without telling us.
    pub(crate) async fn give_back_by_hand(&self, payment_key: &str, amount: i64) {
        let url = format!("{}/v1/payments/{payment_key}/cancel", self.provider_url);
        let body = serde_json::json!({"cancelReason": "by hand", "cancelAmount": amount});
        let request = reqwest::Client::new().post(url).basic_auth(SECRET_KEY, Some(""));
        let answer = request.json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }

    pub(crate) async fn provider_books(&self) -> Value {
        let url = format!("{}/simulator/payments", self.provider_url);
        reqwest::get(url).await.unwrap().json().await.unwrap()
    }
}

pub(crate) async fn simulator(stop: CancellationToken) -> String {
    simulator_that_takes(Duration::from_millis(600), Duration::from_millis(600), stop).await
}

/// `slow` until a slow answer, `late` until a late capture.
pub(crate) async fn simulator_that_takes(slow: Duration, late: Duration, stop: CancellationToken) -> String {
    let config = psp_simulator::config::Config {
        addr: "127.0.0.1:0".parse().unwrap(),
        secret_key: SECRET_KEY.parse().unwrap(),
        journal: None,
        slow,
        late,
        lost: Duration::from_secs(60),
        cancel_pace: Duration::ZERO,
        webhook_url: None,
        webhook_retry: Duration::from_secs(60),
    };
    let application = psp_simulator::startup::Application::build(config).await.unwrap();
    let url = format!("http://{}", application.addr());
    tokio::spawn(application.run_until_stopped(stop.cancelled_owned()));
    url
}

fn client(url: &str) -> PaymentClient {
    let read = |env: &mut Environment| UpstreamConfig::read(env, "PAYMENT_URL", "The service under test.");
    let upstream = load_from(environment([("PAYMENT_URL", url)]), read).unwrap();
    let channel = upstream.with_deadline(Duration::from_secs(14)).channel().unwrap();
    contracts::payment_client(channel)
}

pub(crate) fn request(hold: &Hold, points: i64, card: Option<&str>) -> PayRequest {
    use contracts::booking::{PaymentCredential, payment_credential::Credential};
    PayRequest {
        reservation_id: hold.reservation_id.to_string(),
        points,
        card: card.map(|payment_key| Card {
            payment_key: payment_key.to_owned(),
            order_id: String::new(),
        }),
        credential: Some(PaymentCredential {
            credential: Some(Credential::PaymentToken(token_of(hold))),
        }),
        ..PayRequest::default()
    }
}

/// A payment key that the simulator has not seen yet.
pub(crate) fn card(outcome: &str) -> String {
    unique_name(&format!("test_{outcome}"))
}

pub(crate) fn status(payment: &Payment) -> PaymentStatus {
    payment.status()
}
