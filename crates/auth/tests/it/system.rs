//! A running auth service with a database of its own and a scripted queue service.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use auth::config::Config;
use auth::secrets::Claims;
use auth::startup::Application;
use auth::store::MIGRATOR;
use contracts::auth::auth_service_client::AuthServiceClient;
use contracts::auth::{
    GetSigningKeysRequest, LogInRequest, LogInResponse, LogOutRequest, RefreshRequest, SignUpRequest, Tokens,
    User,
};
use contracts::queue::queue_service_server::{QueueService, QueueServiceServer};
use contracts::queue::{self, JoinRequest, JoinResponse, Ticket};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use service_kit::config::load_from;
use service_kit::problem::Problem;
use test_support::{TestDatabase, environment, eventually, serve_grpc};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::service::Routes;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

pub(crate) const PASSWORD: &str = "correct horse battery";

/// One replica, stopped when dropped.
pub(crate) struct Replica {
    pub(crate) client: AuthServiceClient<Channel>,
    pub(crate) admin: std::net::SocketAddr,
    _stop: DropGuard,
}

pub(crate) struct System {
    pub(crate) database: TestDatabase,
    pub(crate) queue: Arc<ScriptedQueue>,
    pub(crate) replica: Replica,
}

impl System {
    pub(crate) async fn start() -> Self {
        Self::start_with([]).await
    }

    pub(crate) async fn start_with<const N: usize>(env: [(&str, &str); N]) -> Self {
        let database = TestDatabase::create(&MIGRATOR).await;
        let queue = Arc::new(ScriptedQueue::default());
        let routes = Routes::new(QueueServiceServer::from_arc(Arc::clone(&queue)));
        let queue_url = serve_grpc(routes).await;
        let replica = Replica::start(database.url(), &queue_url, env).await;
        Self {
            database,
            queue,
            replica,
        }
    }

    pub(crate) fn client(&self) -> AuthServiceClient<Channel> {
        self.replica.client.clone()
    }

    pub(crate) async fn sign_up(&self, email: &str) -> Result<User, Problem> {
        let request = SignUpRequest {
            email: email.to_owned(),
            password: PASSWORD.to_owned(),
            name: "Kim Minsu".to_owned(),
            client_address: "192.0.2.1".to_owned(),
            idempotency_key: String::new(),
        };
        let answer = self.client().sign_up(request).await?;
        Ok(answer.into_inner().user.unwrap())
    }

    pub(crate) async fn log_in(&self, email: &str, password: &str) -> Result<LogInResponse, Problem> {
        self.log_in_to(email, password, None).await
    }

    pub(crate) async fn log_in_to(
        &self,
        email: &str,
        password: &str,
        concert_id: Option<String>,
    ) -> Result<LogInResponse, Problem> {
        let request = LogInRequest {
            email: email.to_owned(),
            password: password.to_owned(),
            concert_id,
            client_address: "192.0.2.1".to_owned(),
        };
        Ok(self.client().log_in(request).await?.into_inner())
    }

    pub(crate) async fn log_in_from(
        &self,
        client_address: &str,
        email: &str,
        password: &str,
    ) -> Result<LogInResponse, Problem> {
        let request = LogInRequest {
            email: email.to_owned(),
            password: password.to_owned(),
            concert_id: None,
            client_address: client_address.to_owned(),
        };
        Ok(self.client().log_in(request).await?.into_inner())
    }

    /// An account with a session.
    pub(crate) async fn member(&self, email: &str) -> (User, Tokens) {
        let user = self.sign_up(email).await.unwrap();
        let tokens = self.log_in(email, PASSWORD).await.unwrap().tokens.unwrap();
        (user, tokens)
    }

    pub(crate) async fn refresh(&self, refresh_token: &str) -> Result<Tokens, Problem> {
        let refresh_token = refresh_token.to_owned();
        let answer = self.client().refresh(RefreshRequest { refresh_token }).await?;
        Ok(answer.into_inner().tokens.unwrap())
    }

    pub(crate) async fn log_out(&self, refresh_token: &str) -> Result<(), Problem> {
        let refresh_token = refresh_token.to_owned();
        self.client().log_out(LogOutRequest { refresh_token }).await?;
        Ok(())
    }

    /// What an access token says, as one who has only the published keys reads it.
    pub(crate) async fn read(&self, access_token: &str) -> Claims {
        let keys = published(&self.replica).await;
        let kid = jsonwebtoken::decode_header(access_token).unwrap().kid.unwrap();
        let key = DecodingKey::from_jwk(keys.find(&kid).unwrap()).unwrap();
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&["frontrow"]);
        validation.set_audience(&["frontrow"]);
        // Its times are the database's, which tests step.
        validation.validate_exp = false;
        jsonwebtoken::decode(access_token, &key, &validation)
            .unwrap()
            .claims
    }
}

impl Replica {
    pub(crate) async fn start<const N: usize>(
        database_url: &str,
        queue_url: &str,
        env: [(&str, &str); N],
    ) -> Self {
        let mut values = environment([
            ("GRPC_ADDR", "127.0.0.1:0"),
            ("ADMIN_ADDR", "127.0.0.1:0"),
            ("DATABASE_URL", database_url),
            ("QUEUE_URL", queue_url),
            // A slow machine is no reason to refuse anybody here.
            ("HASH_WAIT_MS", "30000"),
            ("DATABASE_ACQUIRE_TIMEOUT_MS", "10000"),
        ]);
        values.extend(environment(env));
        let application = Application::build(load_from(values, Config::read).unwrap())
            .await
            .unwrap();
        let (grpc, admin) = (application.grpc_addr(), application.admin_addr());
        let stop = CancellationToken::new();
        tokio::spawn(application.run_until_stopped(stop.clone().cancelled_owned()));
        Self {
            client: AuthServiceClient::new(
                Channel::from_shared(format!("http://{grpc}"))
                    .unwrap()
                    .connect_lazy(),
            ),
            admin,
            _stop: stop.drop_guard(),
        }
    }

    pub(crate) async fn ready(&self) {
        eventually("readiness", async || {
            service_kit::admin::healthcheck(self.admin).await.ok()
        })
        .await;
    }
}

pub(crate) async fn published(replica: &Replica) -> JwkSet {
    let answer = replica
        .client
        .clone()
        .get_signing_keys(GetSigningKeysRequest {})
        .await
        .unwrap();
    serde_json::from_str(&answer.into_inner().jwks_json).unwrap()
}

/// Gives everybody a place, or refuses everybody.
#[derive(Default)]
pub(crate) struct ScriptedQueue {
    joins: Mutex<Vec<JoinRequest>>,
    refusal: Mutex<Option<Problem>>,
}

impl ScriptedQueue {
    pub(crate) fn refuse_with(&self, problem: Problem) {
        *self.refusal.lock().unwrap() = Some(problem);
    }

    pub(crate) fn joins(&self) -> Vec<JoinRequest> {
        self.joins.lock().unwrap().clone()
    }
}

macro_rules! not_scripted {
    ($($method:ident: $request:ident -> $response:ident),+ $(,)?) => {
        #[tonic::async_trait]
        impl QueueService for ScriptedQueue {
            type WatchRoomsStream = tokio_stream::Empty<Result<queue::WatchRoomsResponse, Status>>;
            type ListLeavesStream = tokio_stream::Empty<Result<queue::ListLeavesResponse, Status>>;

            async fn join(&self, request: Request<JoinRequest>) -> Result<Response<JoinResponse>, Status> {
                let request = request.into_inner();
                let queue_token = format!("place of {}", request.user_id);
                self.joins.lock().unwrap().push(request);
                if let Some(problem) = self.refusal.lock().unwrap().clone() {
                    return Err(problem.into());
                }
                let ticket = Ticket { queue_token, state: None, joined_now: true, receipt: None };
                Ok(Response::new(JoinResponse { ticket: Some(ticket) }))
            }

            async fn watch_rooms(
                &self,
                _: Request<queue::WatchRoomsRequest>,
            ) -> Result<Response<Self::WatchRoomsStream>, Status> {
                Err(Status::unimplemented("not scripted"))
            }

            async fn list_leaves(
                &self,
                _: Request<queue::ListLeavesRequest>,
            ) -> Result<Response<Self::ListLeavesStream>, Status> {
                Err(Status::unimplemented("not scripted"))
            }

            $(async fn $method(
                &self,
                _: Request<queue::$request>,
            ) -> Result<Response<queue::$response>, Status> {
                Err(Status::unimplemented("not scripted"))
            })+
        }
    };
}

not_scripted!(
    put_room: PutRoomRequest -> PutRoomResponse,
    get_room: GetRoomRequest -> GetRoomResponse,
    get_room_stats: GetRoomStatsRequest -> GetRoomStatsResponse,
    get_token: GetTokenRequest -> GetTokenResponse,
    leave: LeaveRequest -> LeaveResponse,
    get_proof: GetProofRequest -> GetProofResponse,
    check_visit: CheckVisitRequest -> CheckVisitResponse,
    end_page: EndPageRequest -> EndPageResponse,
    end_visits: EndVisitsRequest -> EndVisitsResponse,
);

/// Well beyond the grace in which a refresh may be retried.
pub(crate) const AFTER_THE_GRACE: Duration = Duration::from_secs(11);
