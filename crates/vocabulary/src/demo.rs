//! Fixed ids, so that services seed what belongs together without asking one another.

use uuid::uuid;

use crate::UserId;

/// The password of both accounts.
pub const PASSWORD: &str = "frontrow-demo-1";
/// A buyer whose wallet holds [`BUYER_POINTS`].
pub const BUYER_EMAIL: &str = "buyer@frontrow.test";
/// The buyer's id.
pub const BUYER_ID: UserId = UserId::from_uuid(uuid!("01900000-0000-7000-8000-00000000b001"));
/// An organiser, to whom the seeded concerts belong.
pub const ORGANISER_EMAIL: &str = "organiser@frontrow.test";
/// The organiser's id.
pub const ORGANISER_ID: UserId = UserId::from_uuid(uuid!("01900000-0000-7000-8000-00000000a001"));
/// Points that the buyer starts with: enough for a good many walks through a purchase.
pub const BUYER_POINTS: i64 = 10_000_000;
