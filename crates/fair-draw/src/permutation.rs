//! The order: a keyed permutation of 0..count that needs no stored list.
//!
//! A Feistel network permutes the next power of four, 256 at least; who falls outside the count walks on until inside. A
//! round's function is asked for each half alone, of which there are few: a table of them makes a look-up out of every step, so
//! that a poll pays nanoseconds, not hashes.

use crate::MAX_COUNT;
use crate::hash::Hash;

const DRAW: &[u8] = b"frontrow.draw.v1";
/// How often the halves are mixed.
const ROUNDS: usize = 16;
/// Halves of two bits prefer some orders of five places, however many the rounds: a chi-square test shows it. From three
/// bits on it finds nothing; four keep away from the edge.
const LEAST_HALF_BITS: u32 = 4;

/// One draw's order.
#[derive(Clone)]
pub struct Permutation {
    count: u64,
    /// Bits of one half, 4 to 16.
    half_bits: u32,
    /// The rounds' functions, each with 2^`half_bits` values.
    rounds: Vec<u16>,
}

impl std::fmt::Debug for Permutation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Permutation")
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

impl Permutation {
    /// The order of `count` places that this seed draws. Hashes 16 times the root of `count`, about: a millisecond for a
    /// million. `None` above [`MAX_COUNT`].
    #[must_use]
    pub fn new(seed: &Hash, count: u64) -> Option<Self> {
        if count > MAX_COUNT {
            return None;
        }
        let half_bits = (LEAST_HALF_BITS..=16).find(|bits| 1_u64 << (2 * bits) >= count)?;
        let halves = 1_u32 << half_bits;
        let mut rounds = Vec::with_capacity(ROUNDS << half_bits);
        for round in 0..ROUNDS as u8 {
            rounds.extend((0..halves).map(|half| round_value(seed, round, half, halves)));
        }
        Some(Self {
            count,
            half_bits,
            rounds,
        })
    }

    /// How many places are ordered.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The place, from 0, of the one who came as the `index`-th, from 0; `None` past the count.
    #[must_use]
    pub fn place_of(&self, index: u64) -> Option<u64> {
        if index >= self.count {
            return None;
        }
        let mut at = index;
        loop {
            at = self.mixed(at);
            // The network permutes the whole domain, so that the walk from inside comes back inside.
            if at < self.count {
                return Some(at);
            }
        }
    }

    /// The number, from 1, of the one who came as the `index`-th, from 0; `None` past the count.
    #[must_use]
    pub fn number_of(&self, index: u64) -> Option<u64> {
        self.place_of(index).map(|place| place + 1)
    }

    fn mixed(&self, value: u64) -> u64 {
        let mask = (1_u64 << self.half_bits) - 1;
        let (mut left, mut right) = ((value >> self.half_bits) as usize, (value & mask) as usize);
        for round in self.rounds.chunks_exact(1 << self.half_bits) {
            (left, right) = (right, left ^ usize::from(round[right]));
        }
        (left as u64) << self.half_bits | right as u64
    }
}

/// The low bits of the first four bytes of one hash.
fn round_value(seed: &Hash, round: u8, half: u32, halves: u32) -> u16 {
    let hash = Hash::over(&[DRAW, &seed.0, &[round], &half.to_be_bytes()]);
    let [a, b, c, d, ..] = hash.0;
    (u32::from_be_bytes([a, b, c, d]) & (halves - 1)) as u16
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Bytes;

    fn order(seed: &Hash, count: u64) -> Vec<u64> {
        let permutation = Permutation::new(seed, count).unwrap();
        (0..count)
            .map(|index| permutation.place_of(index).unwrap())
            .collect()
    }

    /// Seeds that every run shares.
    fn seeds(count: u64) -> impl Iterator<Item = Hash> {
        (0..count).map(|i| Hash::over(&[b"seed of a test", &i.to_be_bytes()]))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn everybody_gets_a_place_and_nobody_another_ones(seed: [u8; 32], count in 0_u64..3_000) {
            let mut places = order(&Bytes(seed), count);
            places.sort_unstable();
            prop_assert_eq!(places, (0..count).collect::<Vec<_>>());
        }

        #[test]
        fn large_lobbies_stay_within_their_count(seed: [u8; 32], count in 1_u64..1 << 26, index: u64) {
            let permutation = Permutation::new(&Bytes(seed), count).unwrap();
            prop_assert!(permutation.place_of(index % count).unwrap() < count);
            prop_assert_eq!(permutation.place_of(count), None);
        }
    }

    /// Sum of (seen - expected)^2 / expected.
    fn chi_square(seen: &[u64], expected: f64) -> f64 {
        seen.iter()
            .map(|seen| (*seen as f64 - expected).powi(2) / expected)
            .sum()
    }

    /// What chance exceeds once in about a million times (Wilson and Hilferty's approximation).
    fn bound(degrees: f64) -> f64 {
        let spread = 2.0 / (9.0 * degrees);
        degrees * (1.0 - spread + 4.75 * spread.sqrt()).powi(3)
    }

    #[test]
    fn every_order_of_a_few_is_as_likely_as_every_other() {
        for (count, times) in [(2_u64, 2_000), (3, 1_000), (4, 500), (5, 200)] {
            let orders = (1..=count).product::<u64>();
            let draws = orders * times;
            let mut seen = std::collections::BTreeMap::<Vec<u64>, u64>::new();
            for seed in seeds(draws) {
                *seen.entry(order(&seed, count)).or_default() += 1;
            }
            let seen: Vec<_> = seen.into_values().collect();
            assert_eq!(seen.len() as u64, orders, "every order of {count} comes up");
            let chi_square = chi_square(&seen, times as f64);
            assert!(
                chi_square < bound((orders - 1) as f64),
                "{count} places: {chi_square}"
            );
        }
    }

    #[test]
    fn everybody_is_as_likely_at_every_place_as_everybody_else() {
        for count in [7_u64, 16, 17, 64, 65, 100] {
            let draws = count * 60;
            let mut seen = vec![0; (count * count) as usize];
            for seed in seeds(draws) {
                for (index, place) in order(&seed, count).into_iter().enumerate() {
                    seen[index * count as usize + place as usize] += 1;
                }
            }
            let chi_square = chi_square(&seen, 60.0);
            let degrees = ((count - 1) * (count - 1)) as f64;
            assert!(chi_square < bound(degrees), "{count} places: {chi_square}");
        }
    }

    #[test]
    fn neighbours_on_arrival_are_as_far_apart_as_any_two() {
        let (count, draws) = (32_u64, 3_100);
        let mut seen = vec![0; count as usize - 1];
        for seed in seeds(draws) {
            let order = order(&seed, count);
            // The distance around a circle of places: 1 to 31, each as likely.
            let distance = (order[1] + count - order[0]) % count;
            seen[distance as usize - 1] += 1;
        }
        assert!(chi_square(&seen, 100.0) < bound(30.0));
    }

    #[test]
    fn more_than_fit_are_refused() {
        assert!(Permutation::new(&Bytes([0; 32]), MAX_COUNT + 1).is_none());
        assert_eq!(order(&Bytes([0; 32]), 1), [0]);
        assert!(order(&Bytes([0; 32]), 0).is_empty());
    }
}
