//! A stand-in for the payment provider, speaking its real HTTP API.
