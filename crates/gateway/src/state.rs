//! What every handler works with.

use std::sync::Arc;

use queue_token::QueueTokens;
use service_kit::health::Readiness;

use crate::client_address::TrustedProxies;
use crate::keys::AccessTokens;
use crate::layouts::Layouts;
use crate::limits::JoinLimits;
use crate::rooms::Rooms;
use crate::streams::Streams;
use crate::upstreams::{Clients, Probes};

/// The state, shared by all requests.
pub(crate) type App = Arc<Gateway>;

pub(crate) struct Gateway {
    pub clients: Clients,
    pub probes: Probes,
    pub access_tokens: AccessTokens,
    pub queue_tokens: QueueTokens,
    pub rooms: Rooms,
    pub streams: Streams,
    pub layouts: Layouts,
    pub join_limits: JoinLimits,
    pub trusted_proxies: TrustedProxies,
    pub readiness: Readiness,
}
