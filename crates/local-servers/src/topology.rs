//! The processes of the system, as data: what each one needs and whom it calls. Whoever starts the system (`cargo
//! xtask up`, the end-to-end tests) starts it from this table.

/// One process of the system; its program has the same name.
#[derive(Debug)]
pub struct Service {
    pub name: &'static str,
    /// Serves gRPC (`GRPC_ADDR`).
    pub grpc: bool,
    /// Has a database of its own (`DATABASE_URL`) and the command `migrate`.
    pub database: bool,
    /// `REDIS_URL`
    pub redis: bool,
    /// `AMQP_URL`
    pub amqp: bool,
    /// Makes a part of the demonstration (`SEED_DEMO`).
    pub seeds: bool,
    /// Signs or checks these tokens (`QUEUE_TOKEN_KEYS`, `PAYMENT_TOKEN_KEYS`).
    pub token_keys: &'static [TokenKeys],
    /// Whom it calls (`AUTH_URL`, ...).
    pub calls: &'static [&'static str],
    /// Those of them without which it does not get ready, seeding included.
    pub waits_for: &'static [&'static str],
    pub role: Role,
}

/// What makes a process differ from a plain service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Plain,
    /// The public HTTP API (`HTTP_ADDR`).
    Edge,
    /// Calls the payment provider (`PROVIDER_URL`, `PROVIDER_SECRET_KEY`).
    Payer,
    /// Stands in for the payment provider (`SIMULATOR_ADDR`, `SIMULATOR_SECRET_KEY`, `SIMULATOR_JOURNAL`) and tells the edge
    /// what happened there (`SIMULATOR_WEBHOOK_URL`); not one of ours outside development.
    Provider,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKeys {
    Queue,
    Payment,
}

impl TokenKeys {
    pub fn variable(self) -> &'static str {
        match self {
            TokenKeys::Queue => "QUEUE_TOKEN_KEYS",
            TokenKeys::Payment => "PAYMENT_TOKEN_KEYS",
        }
    }
}

const PLAIN: Service = Service {
    name: "",
    grpc: true,
    database: false,
    redis: false,
    amqp: false,
    seeds: false,
    token_keys: &[],
    calls: &[],
    waits_for: &[],
    role: Role::Plain,
};

/// The public edge: stopped first, so that what is under way is answered.
pub const GATEWAY: &str = "gateway";

pub const SERVICES: [Service; 8] = [
    Service {
        name: "psp-simulator",
        grpc: false,
        role: Role::Provider,
        ..PLAIN
    },
    Service {
        name: "auth",
        database: true,
        seeds: true,
        calls: &["queue"],
        ..PLAIN
    },
    Service {
        name: "queue",
        database: true,
        redis: true,
        token_keys: &[TokenKeys::Queue],
        ..PLAIN
    },
    Service {
        name: "concert",
        database: true,
        redis: true,
        seeds: true,
        calls: &["booking", "queue"],
        waits_for: &["booking", "queue"],
        ..PLAIN
    },
    Service {
        name: "booking",
        database: true,
        redis: true,
        amqp: true,
        token_keys: &[TokenKeys::Payment],
        calls: &["queue"],
        ..PLAIN
    },
    Service {
        name: "payment",
        database: true,
        seeds: true,
        calls: &["booking"],
        role: Role::Payer,
        ..PLAIN
    },
    Service {
        name: "expire-worker",
        grpc: false,
        amqp: true,
        calls: &["booking"],
        ..PLAIN
    },
    Service {
        name: GATEWAY,
        grpc: false,
        token_keys: &[TokenKeys::Queue],
        calls: &["auth", "queue", "concert", "booking", "payment"],
        waits_for: &["auth"],
        role: Role::Edge,
        ..PLAIN
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_a_service_calls_serves_grpc() {
        for service in &SERVICES {
            for called in service.calls {
                let upstream = SERVICES.iter().find(|other| other.name == *called);
                assert!(
                    upstream.is_some_and(|upstream| upstream.grpc),
                    "{} calls {called}",
                    service.name
                );
            }
        }
    }
}
