//! Reservations, seat states and payment tokens.
