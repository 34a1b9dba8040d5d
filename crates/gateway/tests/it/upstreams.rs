//! All five services as one scripted gRPC server: a test says what a call answers, and counts calls.
//!
//! It works below the generated traits, so that a test scripts the one call it is about and nothing else.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use contracts::auth::GetSigningKeysResponse;
use contracts::queue::{Room, WatchRoomsResponse};
use futures::StreamExt as _;
use futures::stream;
use http::{HeaderMap, HeaderValue};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use prost::Message;
use prost::bytes::BufMut as _;
use service_kit::problem::Problem;
use tonic::Status;
use tonic::service::Routes;

type Answer = Arc<dyn Fn(&[u8]) -> Result<Vec<u8>, Status> + Send + Sync>;

/// The script: what is answered, and what was called.
#[derive(Clone, Default)]
pub(crate) struct Upstreams(Arc<Mutex<Script>>);

#[derive(Default)]
struct Script {
    answers: HashMap<String, Answer>,
    calls: HashMap<String, usize>,
    rooms: Vec<Room>,
    rooms_are_silent: bool,
}

impl Upstreams {
    /// What a call like `booking.v1.BookingService/HoldSeats` answers from now on.
    pub(crate) fn on<Req, Res>(
        &self,
        call: &str,
        answer: impl Fn(Req) -> Result<Res, Problem> + Send + Sync + 'static,
    ) where
        Req: Message + Default,
        Res: Message,
    {
        let answer: Answer = Arc::new(move |request| {
            let request = Req::decode(request).unwrap();
            Ok(answer(request)?.encode_to_vec())
        });
        self.0
            .lock()
            .unwrap()
            .answers
            .insert(format!("/frontrow.{call}"), answer);
    }

    /// A call that is refused with this status from now on.
    pub(crate) fn refuse(&self, call: &str, status: Status) {
        let answer: Answer = Arc::new(move |_| Err(status.clone()));
        self.0
            .lock()
            .unwrap()
            .answers
            .insert(format!("/frontrow.{call}"), answer);
    }

    /// The key set that auth publishes from now on.
    pub(crate) fn publish_keys(&self, jwks_json: String) {
        self.on("auth.v1.AuthService/GetSigningKeys", move |()| {
            Ok(GetSigningKeysResponse {
                jwks_json: jwks_json.clone(),
            })
        });
    }

    /// The rooms that queue streams from now on.
    pub(crate) fn set_rooms(&self, rooms: Vec<Room>) {
        self.0.lock().unwrap().rooms = rooms;
    }

    /// Whether the stream of rooms says nothing, as when queue is frozen.
    pub(crate) fn silence_rooms(&self, silent: bool) {
        self.0.lock().unwrap().rooms_are_silent = silent;
    }

    /// How often a call was made.
    pub(crate) fn calls(&self, call: &str) -> usize {
        let script = self.0.lock().unwrap();
        script
            .calls
            .get(&format!("/frontrow.{call}"))
            .copied()
            .unwrap_or(0)
    }

    /// Serves the script; answers its URL.
    pub(crate) async fn serve(&self) -> String {
        let router = Router::new().fallback(call).with_state(self.clone());
        test_support::serve_grpc(Routes::from(router)).await
    }

    fn heartbeat(&self) -> Option<WatchRoomsResponse> {
        let script = self.0.lock().unwrap();
        (!script.rooms_are_silent).then(|| WatchRoomsResponse {
            rooms: script.rooms.clone(),
        })
    }
}

async fn call(State(upstreams): State<Upstreams>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let answer = {
        let mut script = upstreams.0.lock().unwrap();
        *script.calls.entry(path.clone()).or_default() += 1;
        script.answers.get(&path).cloned()
    };
    if path == "/frontrow.queue.v1.QueueService/WatchRooms" {
        return rooms(upstreams);
    }
    if path == "/grpc.health.v1.Health/Check" {
        // `status: SERVING`.
        return unary(&[0x08, 0x01]);
    }
    let body = request.into_body().collect().await.unwrap().to_bytes();
    match answer {
        Some(answer) => match answer(&body[5..]) {
            Ok(message) => unary(&message),
            Err(status) => status.into_http(),
        },
        None => Status::unimplemented(path).into_http(),
    }
}

fn framed(message: &[u8]) -> Bytes {
    let mut frame = vec![0];
    frame.put_u32(u32::try_from(message.len()).unwrap());
    frame.extend_from_slice(message);
    frame.into()
}

fn grpc(frames: impl futures::Stream<Item = Result<Frame<Bytes>, Infallible>> + Send + 'static) -> Response {
    (
        [("content-type", "application/grpc")],
        Body::new(StreamBody::new(frames)),
    )
        .into_response()
}

fn unary(message: &[u8]) -> Response {
    let trailers = HeaderMap::from_iter([(
        http::HeaderName::from_static("grpc-status"),
        HeaderValue::from_static("0"),
    )]);
    let frames = [Frame::data(framed(message)), Frame::trailers(trailers)];
    grpc(stream::iter(frames.map(Ok)))
}

/// Ten messages a second, as queue sends them at least.
fn rooms(upstreams: Upstreams) -> Response {
    let ticks = tokio::time::interval(Duration::from_millis(100));
    let messages = stream::unfold((upstreams, ticks), async |(upstreams, mut ticks)| {
        ticks.tick().await;
        let message = upstreams.heartbeat();
        Some((message, (upstreams, ticks)))
    });
    grpc(messages.filter_map(async |message| Some(Ok(Frame::data(framed(&message?.encode_to_vec()))))))
}
