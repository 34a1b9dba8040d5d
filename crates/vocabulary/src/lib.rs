//! Typed ids, money and the words that all Frontrow services share.
