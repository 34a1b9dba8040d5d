//! What one who gathers in a lobby is given: a commitment that hides who they are, its leaf, and a signature that the
//! operator cannot deny.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use uuid::Uuid;

use crate::hash::{Bytes, Hash};

/// 128 random bits that hide a user id: nobody can try the ids that they know.
pub type Salt = Bytes<16>;
/// An Ed25519 signature.
pub type Signature = Bytes<64>;

const MEMBER: &[u8] = b"frontrow.member.v1";
const LEAF: &[u8] = b"frontrow.leaf.v1";
const RECEIPT: &[u8] = b"frontrow.receipt.v1";
const SALT: &[u8] = b"frontrow.salt.v1";

/// Stands for a user where everybody may look: only who knows salt and user id can tell whose it is.
#[must_use]
pub fn commitment(salt: &Salt, user: Uuid) -> Hash {
    Hash::over(&[MEMBER, &salt.0, user.as_bytes()])
}

/// The leaf of the one who came as the `index`-th, from 0.
#[must_use]
pub fn leaf(concert: Uuid, index: u64, commitment: &Hash) -> Hash {
    // The leading zero is RFC 6962's: a leaf can never pass as an inner node.
    Hash::over(&[
        &[0],
        LEAF,
        concert.as_bytes(),
        &index.to_be_bytes(),
        &commitment.0,
    ])
}

/// Bytes that are no Ed25519 key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("these bytes are no key")]
pub struct KeyError;

/// What one room's receipts are salted and signed with.
pub struct ReceiptKey {
    signing: Ed25519KeyPair,
    salting: [u8; 32],
}

impl std::fmt::Debug for ReceiptKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReceiptKey").finish_non_exhaustive()
    }
}

impl ReceiptKey {
    /// The key of 64 random bytes: 32 sign, 32 salt.
    ///
    /// # Errors
    /// They are none of a key.
    pub fn new(bytes: &[u8; 64]) -> Result<Self, KeyError> {
        let (signing, salting) = bytes.split_at(32);
        Ok(Self {
            signing: Ed25519KeyPair::from_seed_unchecked(signing).map_err(|_| KeyError)?,
            salting: salting.try_into().map_err(|_| KeyError)?,
        })
    }

    /// What everybody checks receipts with.
    #[must_use]
    pub fn public(&self) -> Bytes<32> {
        let mut public = [0; 32];
        public.copy_from_slice(self.signing.public_key().as_ref());
        Bytes(public)
    }

    /// The user's salt in this room: always the same, so that asking again gives the same receipt.
    #[must_use]
    pub fn salt(&self, user: Uuid) -> Salt {
        let hash = Hash::over(&[SALT, &self.salting, user.as_bytes()]);
        let mut salt = [0; 16];
        salt.copy_from_slice(&hash.0[..16]);
        Bytes(salt)
    }

    /// Signs a leaf.
    #[must_use]
    pub fn sign(&self, leaf: &Hash) -> Signature {
        let mut bytes = [0; 64];
        bytes.copy_from_slice(self.signing.sign(&signed(leaf)).as_ref());
        Bytes(bytes)
    }
}

/// Whether the operator of the room with this key gave the leaf away.
pub(crate) fn is_signed(key: &Bytes<32>, leaf: &Hash, signature: &Signature) -> bool {
    UnparsedPublicKey::new(&ED25519, &key.0)
        .verify(&signed(leaf), &signature.0)
        .is_ok()
}

fn signed(leaf: &Hash) -> Vec<u8> {
    [RECEIPT, &leaf.0].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_of_one_leaf_and_one_key() {
        let (key, other) = (
            ReceiptKey::new(&[1; 64]).unwrap(),
            ReceiptKey::new(&[2; 64]).unwrap(),
        );
        let of = |index| leaf(Uuid::nil(), index, &Bytes([7; 32]));
        let signature = key.sign(&of(3));
        assert!(is_signed(&key.public(), &of(3), &signature));
        assert!(!is_signed(&key.public(), &of(4), &signature));
        assert!(!is_signed(&other.public(), &of(3), &signature));
    }

    #[test]
    fn two_rooms_show_the_same_user_under_two_commitments() {
        let user = Uuid::from_u128(5);
        let salts = [[1; 64], [2; 64]].map(|key| ReceiptKey::new(&key).unwrap().salt(user));
        assert_ne!(commitment(&salts[0], user), commitment(&salts[1], user));
    }
}
