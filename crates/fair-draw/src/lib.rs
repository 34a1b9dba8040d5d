//! The arithmetic of a fair opening, exactly as `docs/fairness.md` publishes it: receipts and their leaves, the Merkle
//! root over a lobby, the seed, the permutation that gives everybody a number, and the checks of all of it.
//!
//! Pure: no clock, no randomness, no store, no network. `queue` and the gateway draw with it, `frontrow-verify` checks
//! with it; whoever trusts neither writes their own from the document and its test vectors.

mod hash;
mod merkle;
mod permutation;
mod receipt;
mod record;
mod seed;
mod verify;

pub use hash::{Bytes, Hash};
pub use merkle::{CHUNK, Chunks, chunk_root, path_in, root_of};
pub use permutation::Permutation;
pub use receipt::{KeyError, ReceiptKey, Salt, Signature, commitment, leaf};
pub use record::{Beacon, DrawState, OperatorTrusted, Proof, Receipt, Record, Room, VERSION};
pub use seed::{BeaconValue, commitment_of_secret, randomness_of, seed};
pub use verify::{Flaw, Verified, VerifiedAll, verify_all, verify_order, verify_receipt, verify_record};

/// The most people that one lobby holds: what the permutation's tables are sized for.
pub const MAX_COUNT: u64 = 1 << 32;
