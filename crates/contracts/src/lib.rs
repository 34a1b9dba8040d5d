//! The gRPC contracts of all services, generated from `proto/`, with conversions of typed ids and words, and client
//! constructors. There is no rule and no transport setting in this crate.

mod convert;
mod redacted;

pub mod expiry;

pub use convert::{
    amount, optional_id, parse_id, queue_status, reservation_status, time_of, timestamp,
    word_of_queue_status, word_of_reservation_status,
};

/// Descriptors of every contract, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The generated code. Its paths follow the proto packages, as the generator refers by them.
#[allow(
    clippy::all,
    unreachable_pub,
    missing_debug_implementations,
    reason = "generated"
)]
mod frontrow {
    pub mod auth {
        pub mod v1 {
            tonic::include_proto!("frontrow.auth.v1");
        }
    }
    pub mod booking {
        pub mod v1 {
            tonic::include_proto!("frontrow.booking.v1");
        }
    }
    pub mod concert {
        pub mod v1 {
            tonic::include_proto!("frontrow.concert.v1");
        }
    }
    pub mod events {
        pub mod v1 {
            tonic::include_proto!("frontrow.events.v1");
        }
    }
    pub mod payment {
        pub mod v1 {
            tonic::include_proto!("frontrow.payment.v1");
        }
    }
    pub mod queue {
        pub mod v1 {
            tonic::include_proto!("frontrow.queue.v1");
        }
    }
}

pub use frontrow::{auth::v1 as auth, booking::v1 as booking, concert::v1 as concert, events::v1 as events};
pub use frontrow::{payment::v1 as payment, queue::v1 as queue};

use service_kit::grpc::client::Channel;

/// Seats of 100,000-seat halls travel in one message.
const LARGE_MESSAGE_BYTES: usize = 32 * 1024 * 1024;

/// Client of the auth service.
pub type AuthClient = auth::auth_service_client::AuthServiceClient<Channel>;
/// Client of the queue service.
pub type QueueClient = queue::queue_service_client::QueueServiceClient<Channel>;
/// Client of the concert service.
pub type ConcertClient = concert::concert_service_client::ConcertServiceClient<Channel>;
/// Client of the booking service.
pub type BookingClient = booking::booking_service_client::BookingServiceClient<Channel>;
/// Client of the payment service.
pub type PaymentClient = payment::payment_service_client::PaymentServiceClient<Channel>;

/// A client of the auth service.
#[must_use]
pub fn auth_client(channel: Channel) -> AuthClient {
    AuthClient::new(channel)
}

/// A client of the queue service.
#[must_use]
pub fn queue_client(channel: Channel) -> QueueClient {
    QueueClient::new(channel)
}

/// A client of the concert service; layouts and plans may be large.
#[must_use]
pub fn concert_client(channel: Channel) -> ConcertClient {
    ConcertClient::new(channel)
        .max_decoding_message_size(LARGE_MESSAGE_BYTES)
        .max_encoding_message_size(LARGE_MESSAGE_BYTES)
}

/// A client of the booking service; schedules are opened with all their seats.
#[must_use]
pub fn booking_client(channel: Channel) -> BookingClient {
    BookingClient::new(channel).max_encoding_message_size(LARGE_MESSAGE_BYTES)
}

/// A client of the payment service.
#[must_use]
pub fn payment_client(channel: Channel) -> PaymentClient {
    PaymentClient::new(channel)
}

/// The server of the concert service, as large as its client's messages.
pub fn concert_server<S: concert::concert_service_server::ConcertService>(
    service: S,
) -> concert::concert_service_server::ConcertServiceServer<S> {
    concert::concert_service_server::ConcertServiceServer::new(service)
        .max_decoding_message_size(LARGE_MESSAGE_BYTES)
        .max_encoding_message_size(LARGE_MESSAGE_BYTES)
}

/// The server of the booking service, as large as its client's messages.
pub fn booking_server<S: booking::booking_service_server::BookingService>(
    service: S,
) -> booking::booking_service_server::BookingServiceServer<S> {
    booking::booking_service_server::BookingServiceServer::new(service)
        .max_decoding_message_size(LARGE_MESSAGE_BYTES)
}
