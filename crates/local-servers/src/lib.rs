//! Private Postgres, Redis and RabbitMQ servers for a developer's machine and for tests.
