//! Waiting rooms, queue tokens and visits.
