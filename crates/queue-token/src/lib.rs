//! The signed token that holds a place in a waiting room.
