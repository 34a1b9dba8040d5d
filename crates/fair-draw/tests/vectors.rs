//! The test vectors of `docs/fairness.md`, made by the program that stands there, in another language.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

use fair_draw::{
    BeaconValue, Bytes, Hash, Permutation, commitment, commitment_of_secret, leaf, root_of, seed,
};
use uuid::{Uuid, uuid};

const DOCUMENT: &str = include_str!("../../../docs/fairness.md");
const CONCERT: Uuid = uuid!("01900000-0000-7000-8000-00000000c001");

/// A vector, which the document has too.
fn published(hex: &str) -> Hash {
    assert!(DOCUMENT.contains(hex), "{hex}");
    hex.parse().unwrap()
}

fn first_numbers(seed: &Hash, count: u64) -> Vec<u64> {
    let order = Permutation::new(seed, count).unwrap();
    [0, 1, 2, 3, count - 1]
        .map(|index| order.number_of(index).unwrap())
        .to_vec()
}

#[test]
fn the_published_vectors_come_out() {
    let members: Vec<Hash> = (0..5_u8)
        .map(|i| {
            let user = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + u128::from(i));
            commitment(&Bytes([i; 16]), user)
        })
        .collect();
    assert_eq!(
        members[0],
        published("d44c51a8391cf054b18a6ce1bab462e80dcacd3787eaf6ae169b47d4e3609e10")
    );
    let leaves: Vec<Hash> = (0..)
        .zip(&members)
        .map(|(index, member)| leaf(CONCERT, index, member))
        .collect();
    assert_eq!(
        (leaves[0], leaves[4]),
        (
            published("651143e29341974faaa3bc070def0039983ce6cfb5bb74ada872a3b5f337e1fc"),
            published("eb2f2da42b664b3141045f9acb5266a5386c56ce508721a67748f13ac7fe6388")
        )
    );
    let root = root_of(&leaves);
    assert_eq!(
        root,
        published("03db09e446aef3b42dac0134de200206bc94fe9698f64ba631b6eb4b940dcccb")
    );

    let secret = Bytes(std::array::from_fn(|i| i as u8));
    assert_eq!(
        commitment_of_secret(&secret),
        published("630dcd2966c4336691125448bbb25b4ff412a49c732db2c8abc1b8581bd710dd")
    );
    let alone = seed(CONCERT, &secret, 5, &root, None);
    assert_eq!(
        alone,
        published("140927b3a3295cff280376f0d9a9e57c584fe50c52e1db3de0909f3a8c5b6ba1")
    );
    let beacon = BeaconValue {
        round: 1_000,
        value: Bytes([255; 32]),
    };
    let with_beacon = seed(CONCERT, &secret, 5, &root, Some(&beacon));
    assert_eq!(
        with_beacon,
        published("33f6542d459bca4d63654f6c89aa1f31023a2365f412fe35d105995ce33cf95a")
    );

    assert_eq!(first_numbers(&alone, 5), [3, 5, 1, 4, 2]);
    assert_eq!(first_numbers(&with_beacon, 5), [5, 2, 1, 4, 3]);
    for (count, numbers) in [
        (256, [133, 41, 191, 4, 213]),
        (257, [84, 176, 191, 94, 174]),
        (1_000, [84, 618, 851, 872, 110]),
        (1_000_000, [990_110, 891_079, 634_115, 348_305, 423_713]),
    ] {
        assert_eq!(first_numbers(&alone, count), numbers, "{count}");
        let text = numbers.map(|number| number.to_string()).join(", ");
        assert!(DOCUMENT.contains(&text), "{text}");
    }
}
