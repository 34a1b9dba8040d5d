//! Wallets, payments and refunds.
