use std::fmt;

/// The three servers that the system stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Postgres,
    Redis,
    RabbitMq,
}

impl Kind {
    pub const ALL: [Kind; 3] = [Kind::Postgres, Kind::Redis, Kind::RabbitMq];

    /// Its name in paths, logs and remembered ports.
    pub fn slug(self) -> &'static str {
        match self {
            Kind::Postgres => "postgres",
            Kind::Redis => "redis",
            Kind::RabbitMq => "rabbitmq",
        }
    }

    /// The environment variable by which somebody brings a server of their own.
    pub fn variable(self) -> &'static str {
        match self {
            Kind::Postgres => "POSTGRES_URL",
            Kind::Redis => "REDIS_URL",
            Kind::RabbitMq => "AMQP_URL",
        }
    }

    /// The Debian package that holds its programs.
    pub fn debian_package(self) -> &'static str {
        match self {
            Kind::Postgres => "postgresql",
            Kind::Redis => "redis-server",
            Kind::RabbitMq => "rabbitmq-server",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Postgres => "Postgres",
            Kind::Redis => "Redis",
            Kind::RabbitMq => "RabbitMQ",
        })
    }
}
