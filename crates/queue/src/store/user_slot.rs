//! Where a user's number is kept in Redis: in which small hash, under which field.
//!
//! Redis keeps a small hash compactly, so a million users cost what their bytes cost. What is known anyway is not
//! written: which hash it is, and what every id of our making has in common. No two users share a place.

use vocabulary::UserId;

/// Redis keeps hashes of up to 512 fields compactly by default: three million users fit.
const BUCKETS: u128 = 1 << BUCKET_BITS;
const BUCKET_BITS: u32 = 13;
/// Of an id of version 7 without its version and variant, less what the bucket says: 109 bits.
const SHORT_BYTES: usize = 14;
const WHOLE_BYTES: usize = 16;
const VERSION_AND_VARIANT: u128 = (0xf << 76) | (0b11 << 62);
const VERSION_7: u128 = (7 << 76) | (0b10 << 62);

/// A user's place among the hashes of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct UserSlot {
    /// Which hash.
    pub(super) bucket: u16,
    field: [u8; WHOLE_BYTES],
    length: usize,
}

impl UserSlot {
    /// The same for every replica and version.
    pub(super) fn of(user: UserId) -> Self {
        let id = user.as_uuid();
        match without_version(id.as_u128()) {
            // The low bits can be had back from bucket and field, so that both together are the id.
            Some(bits) => {
                let field = (bits >> BUCKET_BITS).to_be_bytes();
                let mut short = [0; WHOLE_BYTES];
                short[..SHORT_BYTES].copy_from_slice(&field[WHOLE_BYTES - SHORT_BYTES..]);
                let mixed = u128::from(spread(&short[..SHORT_BYTES]));
                Self {
                    bucket: ((bits ^ mixed) % BUCKETS) as u16,
                    field: short,
                    length: SHORT_BYTES,
                }
            }
            None => Self {
                bucket: (u128::from(spread(id.as_bytes())) % BUCKETS) as u16,
                field: *id.as_bytes(),
                length: WHOLE_BYTES,
            },
        }
    }

    /// The field of that hash.
    pub(super) fn field(&self) -> &[u8] {
        &self.field[..self.length]
    }
}

/// The 122 bits in which ids of version 7 differ; `None` for other ids.
const fn without_version(id: u128) -> Option<u128> {
    if id & VERSION_AND_VARIANT != VERSION_7 {
        return None;
    }
    let (time, middle, end) = (id >> 80, (id >> 64) & 0xfff, id & ((1 << 62) - 1));
    Some((time << 74) | (middle << 62) | end)
}

/// FNV-1a, folded: ids of any making spread evenly.
fn spread(bytes: &[u8]) -> u16 {
    let hash = bytes.iter().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    });
    (hash >> 16) as u16 ^ hash as u16
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    /// The id of a slot; that there is one for each proves that no two ids share a slot.
    fn id_of(slot: &UserSlot) -> u128 {
        let mut bytes = [0; WHOLE_BYTES];
        bytes[WHOLE_BYTES - slot.length..].copy_from_slice(slot.field());
        let field = u128::from_be_bytes(bytes);
        if slot.length == WHOLE_BYTES {
            return field;
        }
        let low = (u128::from(slot.bucket) ^ u128::from(spread(slot.field()))) % BUCKETS;
        let bits = (field << BUCKET_BITS) | low;
        let (time, middle, end) = (bits >> 74, (bits >> 62) & 0xfff, bits & ((1 << 62) - 1));
        (time << 80) | (middle << 64) | end | VERSION_7
    }

    fn slot(id: u128) -> UserSlot {
        UserSlot::of(UserId::from_uuid(Uuid::from_u128(id)))
    }

    proptest! {
        #[test]
        fn promise_13_a_slot_is_of_one_user_alone(id: u128, seven: bool) {
            let id = if seven { (id & !VERSION_AND_VARIANT) | VERSION_7 } else { id };
            let slot = slot(id);
            prop_assert_eq!(id_of(&slot), id);
            prop_assert!(u128::from(slot.bucket) < BUCKETS);
            prop_assert!(!seven || slot.length == SHORT_BYTES);
        }
    }

    #[test]
    fn ids_of_any_making_spread_so_that_no_hash_grows_past_the_compact_form() {
        let counted = |number: u64| slot(0x0193_a1b2_7c3d_7abc_8000_0000_0000_0000 | u128::from(number));
        let clocked = |number: u64| slot((u128::from(number) << 80) | VERSION_7 | 42);
        let foreign = |number: u64| slot((u128::from(number) << 96) | 0x1000_8000_0123_4567_89ab);
        let random = |_: u64| UserSlot::of(UserId::new());
        let makings: [&dyn Fn(u64) -> UserSlot; 4] = [&counted, &clocked, &foreign, &random];
        for making in makings {
            let mut sizes = vec![0_u32; BUCKETS as usize];
            for number in 0..1_000_000 {
                sizes[usize::from(making(number).bucket)] += 1;
            }
            let largest = sizes.iter().max().unwrap();
            assert!(*largest <= 256, "{largest}");
        }
    }
}
