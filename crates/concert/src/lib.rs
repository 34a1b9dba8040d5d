//! Concerts, schedules, venues, seat layouts and prices.
