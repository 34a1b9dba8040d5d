//! What the order follows from: a secret that was committed to, the root of who is there, and a public beacon.

use uuid::Uuid;

use crate::hash::Hash;

const SEED: &[u8] = b"frontrow.seed.v1";

/// The value of a beacon's round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BeaconValue {
    /// The round.
    pub round: u64,
    /// Its randomness.
    pub value: Hash,
}

/// The randomness of a drand round: the SHA-256 of its signature, which is hexadecimal.
#[must_use]
pub fn randomness_of(signature: &str) -> Option<Hash> {
    hex::decode(signature)
        .ok()
        .map(|signature| Hash::over(&[&signature]))
}

/// What is published before anybody joins: the secret's plain SHA-256.
#[must_use]
pub fn commitment_of_secret(secret: &Hash) -> Hash {
    Hash::over(&[&secret.0])
}

/// The seed of a draw.
#[must_use]
pub fn seed(concert: Uuid, secret: &Hash, count: u64, root: &Hash, beacon: Option<&BeaconValue>) -> Hash {
    let count = count.to_be_bytes();
    let round = beacon.map(|beacon| beacon.round.to_be_bytes());
    let mut parts: Vec<&[u8]> = vec![SEED, concert.as_bytes(), &secret.0, &count, &root.0];
    if let (Some(round), Some(beacon)) = (&round, beacon) {
        parts.extend([round.as_slice(), &beacon.value.0]);
    }
    Hash::over(&parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Bytes;

    #[test]
    fn every_part_of_the_seed_matters() {
        let (one, two) = (Bytes([1; 32]), Bytes([2; 32]));
        let beacon = |round, value| Some(BeaconValue { round, value });
        let seeds = [
            seed(Uuid::nil(), &one, 5, &one, None),
            seed(Uuid::max(), &one, 5, &one, None),
            seed(Uuid::nil(), &two, 5, &one, None),
            seed(Uuid::nil(), &one, 6, &one, None),
            seed(Uuid::nil(), &one, 5, &two, None),
            seed(Uuid::nil(), &one, 5, &one, beacon(1, one).as_ref()),
            seed(Uuid::nil(), &one, 5, &one, beacon(2, one).as_ref()),
            seed(Uuid::nil(), &one, 5, &one, beacon(1, two).as_ref()),
        ];
        let different: std::collections::BTreeSet<_> = seeds.iter().collect();
        assert_eq!(different.len(), seeds.len());
    }
}
