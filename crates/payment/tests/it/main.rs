//! Payments against a real Postgres, the provider's stand-in, and a scripted booking.
