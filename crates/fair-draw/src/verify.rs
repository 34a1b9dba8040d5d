//! Whether what was published, a receipt and its proof hold together; and if not, what exactly does not.

use uuid::Uuid;

use crate::hash::Hash;
use crate::merkle::{CHUNK, Chunks, root_by_path};
use crate::permutation::Permutation;
use crate::receipt::{commitment, is_signed, leaf};
use crate::record::{DrawState, Proof, Receipt, Record, Room, VERSION};
use crate::seed::{commitment_of_secret, seed};

/// What does not hold. Each kind of tampering has its own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// The room never had a lobby.
    #[error("the room has no fairness record: it had no lobby")]
    NoRecord,
    /// Another edition of the rules.
    #[error("the record or the receipt is of version {0}, not {VERSION}")]
    Version(u32),
    /// There is nothing to check a number by yet.
    #[error("the draw is {0:?}: numbers are known once it is DRAWN")]
    NotDrawn(DrawState),
    /// A part that must be there by now.
    #[error("the record is drawn but has no {0}")]
    Incomplete(&'static str),
    /// More people than a draw orders.
    #[error("the count {0} is more than a draw orders")]
    Count(u64),
    /// Something was changed that was published before.
    #[error("the {0} is not the one that was published before")]
    ChangedSince(&'static str),
    /// The secret was exchanged after it was committed to.
    #[error("the secret is not the one that was committed to: its SHA-256 is {0}")]
    Secret(Hash),
    /// It claims a beacon and names no value, or the reverse.
    #[error("operatorTrusted contradicts the beacon")]
    OperatorTrusted,
    /// The seed was not made of what is published.
    #[error("the seed does not follow from secret, count, root and beacon: that gives {0}")]
    Seed(Hash),
    /// A receipt or a proof of another concert.
    #[error("the {0} is of another concert")]
    Concert(&'static str),
    /// The proof is for another receipt.
    #[error("the proof is for index {proof}, the receipt for index {receipt}")]
    Index {
        /// Of the proof.
        proof: u64,
        /// Of the receipt.
        receipt: u64,
    },
    /// The lobby had fewer people.
    #[error("the receipt's index {index} is beyond the count of {count}")]
    Beyond {
        /// Of the receipt.
        index: u64,
        /// Of the record.
        count: u64,
    },
    /// The room's operator never gave this receipt away.
    #[error("the receipt's signature is not the room's")]
    Signature,
    /// The receipt is somebody else's.
    #[error("the receipt's commitment does not stand for this user")]
    User,
    /// A receipt without its salt cannot be tied to a user.
    #[error("the receipt has no salt: it cannot be tied to a user")]
    NoSalt,
    /// The receipt is not among those that were drawn.
    #[error("the receipt is not under the published root: its path leads elsewhere")]
    Path,
    /// The number does not follow from the seed.
    #[error("the number is {computed}, not {claimed}")]
    Number {
        /// What the operator says.
        claimed: u64,
        /// What follows.
        computed: u64,
    },
    /// The list of leaves has not as many as were counted.
    #[error("the list has {listed} leaves, the record counts {count}")]
    Leaves {
        /// In the list.
        listed: u64,
        /// In the record.
        count: u64,
    },
    /// The list is not what the root was made of.
    #[error("the list of leaves has another root: {0}")]
    Root(Hash),
    /// The list has somebody else at the receipt's place.
    #[error("the list of leaves has another commitment at the receipt's index")]
    Listed,
    /// Two of the lobby share a number. The rules rule it out; this would be a fault of this program.
    #[error("the numbers are not a permutation")]
    Order,
}

/// A record that holds in itself.
#[derive(Debug, Clone)]
pub struct Verified {
    concert: Uuid,
    record: Record,
    root: Hash,
    order: Permutation,
}

/// What holds of a whole lobby.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedAll {
    /// How many were in it.
    pub count: u64,
}

/// Checks a record in itself, and against one that was kept from before.
///
/// # Errors
/// What does not hold.
pub fn verify_record(room: &Room, before: Option<&Room>) -> Result<Verified, Flaw> {
    let record = room.fairness.clone().ok_or(Flaw::NoRecord)?;
    if record.version != VERSION {
        return Err(Flaw::Version(record.version));
    }
    if let Some(before) = before {
        if before.concert_id != room.concert_id {
            return Err(Flaw::Concert("earlier record"));
        }
        unchanged(before.fairness.as_ref().ok_or(Flaw::NoRecord)?, &record)?;
    }
    if record.state < DrawState::Drawn {
        return Err(Flaw::NotDrawn(record.state));
    }
    let count = record.count.ok_or(Flaw::Incomplete("count"))?;
    let root = record.root.ok_or(Flaw::Incomplete("root"))?;
    let secret = record.secret.ok_or(Flaw::Incomplete("secret"))?;
    let published = record.seed.ok_or(Flaw::Incomplete("seed"))?;

    let hashed = commitment_of_secret(&secret);
    if hashed != record.commitment {
        return Err(Flaw::Secret(hashed));
    }
    let beacon = record.beacon_value();
    if record.operator_trusted == beacon.is_some() {
        return Err(Flaw::OperatorTrusted);
    }
    let computed = seed(room.concert_id, &secret, count, &root, beacon.as_ref());
    if computed != published {
        return Err(Flaw::Seed(computed));
    }
    Ok(Verified {
        concert: room.concert_id,
        record,
        root,
        order: Permutation::new(&computed, count).ok_or(Flaw::Count(count))?,
    })
}

/// Whether nothing that was published in `before` is otherwise in `after`.
fn unchanged(before: &Record, after: &Record) -> Result<(), Flaw> {
    fn kept<T: PartialEq>(before: Option<&T>, after: Option<&T>) -> bool {
        before.is_none() || before == after
    }
    let named =
        |beacon: &Option<crate::Beacon>| beacon.as_ref().map(|beacon| (beacon.chain.clone(), beacon.round));
    for (same, part) in [
        (before.receipt_key == after.receipt_key, "receiptKey"),
        (before.commitment == after.commitment, "commitment"),
        (named(&before.beacon) == named(&after.beacon), "beacon"),
        (kept(before.count.as_ref(), after.count.as_ref()), "count"),
        (kept(before.root.as_ref(), after.root.as_ref()), "root"),
        (kept(before.secret.as_ref(), after.secret.as_ref()), "secret"),
        (kept(before.seed.as_ref(), after.seed.as_ref()), "seed"),
    ] {
        if !same {
            return Err(Flaw::ChangedSince(part));
        }
    }
    Ok(())
}

/// Checks a receipt and its proof, and whose it is where `user` is given; answers the number.
///
/// # Errors
/// What does not hold.
pub fn verify_receipt(
    verified: &Verified,
    receipt: &Receipt,
    proof: &Proof,
    user: Option<Uuid>,
) -> Result<u64, Flaw> {
    if receipt.version != VERSION {
        return Err(Flaw::Version(receipt.version));
    }
    for (concert, part) in [(receipt.concert_id, "receipt"), (proof.concert_id, "proof")] {
        if concert != verified.concert {
            return Err(Flaw::Concert(part));
        }
    }
    if proof.index != receipt.index {
        return Err(Flaw::Index {
            proof: proof.index,
            receipt: receipt.index,
        });
    }
    let leaf = leaf(receipt.concert_id, receipt.index, &receipt.commitment);
    if !is_signed(&verified.record.receipt_key, &leaf, &receipt.signature) {
        return Err(Flaw::Signature);
    }
    if let Some(user) = user {
        let salt = receipt.salt.ok_or(Flaw::NoSalt)?;
        if commitment(&salt, user) != receipt.commitment {
            return Err(Flaw::User);
        }
    }
    let count = verified.order.count();
    let number = verified.order.number_of(receipt.index).ok_or(Flaw::Beyond {
        index: receipt.index,
        count,
    })?;
    if root_by_path(&leaf, receipt.index, count, &proof.path) != Some(verified.root) {
        return Err(Flaw::Path);
    }
    match proof.number {
        Some(claimed) if claimed != number => Err(Flaw::Number {
            claimed,
            computed: number,
        }),
        _ => Ok(number),
    }
}

/// Checks the list of all leaves: as many as were counted, under the root, and their numbers a permutation. With a
/// receipt also that the list has it at its place.
///
/// # Errors
/// What does not hold.
pub fn verify_all(
    verified: &Verified,
    list: &[Hash],
    receipt: Option<&Receipt>,
) -> Result<VerifiedAll, Flaw> {
    let count = verified.order.count();
    if list.len() as u64 != count {
        return Err(Flaw::Leaves {
            listed: list.len() as u64,
            count,
        });
    }
    let mut chunks = Chunks::default();
    for (chunk, first) in list.chunks(CHUNK).zip((0_u64..).step_by(CHUNK)) {
        let leaves: Vec<_> = (first..)
            .zip(chunk)
            .map(|(index, commitment)| leaf(verified.concert, index, commitment))
            .collect();
        chunks.push(&leaves);
    }
    if chunks.root() != verified.root {
        return Err(Flaw::Root(chunks.root()));
    }
    if let Some(receipt) = receipt {
        let listed = usize::try_from(receipt.index)
            .ok()
            .and_then(|index| list.get(index));
        if listed != Some(&receipt.commitment) {
            return Err(Flaw::Listed);
        }
    }
    verify_order(&verified.order)?;
    Ok(VerifiedAll { count })
}

/// Checks that an order gives every place once.
///
/// # Errors
/// It does not.
pub fn verify_order(order: &Permutation) -> Result<(), Flaw> {
    let mut taken = vec![false; usize::try_from(order.count()).map_err(|_| Flaw::Count(order.count()))?];
    for index in 0..order.count() {
        let place = order
            .place_of(index)
            .and_then(|place| usize::try_from(place).ok());
        let place = place.and_then(|place| taken.get_mut(place)).ok_or(Flaw::Order)?;
        if std::mem::replace(place, true) {
            return Err(Flaw::Order);
        }
    }
    Ok(())
}
