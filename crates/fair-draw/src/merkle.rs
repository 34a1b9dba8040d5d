//! The Merkle tree of RFC 6962 over leaves that are hashed already.
//!
//! Chunks of [`CHUNK`] leaves are whole subtrees, so that a tree is kept as its chunks' roots alone and a path costs one
//! chunk of leaves.

use crate::hash::Hash;

/// Leaves whose root stands for them. A power of two.
pub const CHUNK: usize = 256;

/// Of no leaf at all.
fn empty() -> Hash {
    Hash::over(&[])
}

fn node(left: &Hash, right: &Hash) -> Hash {
    Hash::over(&[&[1], &left.0, &right.0])
}

/// Where RFC 6962 splits: the largest power of two below `count`, which is at least 2.
const fn split(count: usize) -> usize {
    1 << (count - 1).ilog2()
}

/// The root over these leaves, or over the roots of chunks.
#[must_use]
pub fn root_of(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node(&root_of(left), &root_of(right))
        }
    }
}

/// The root of one chunk of leaves: of [`CHUNK`], or of fewer at the end.
#[must_use]
pub fn chunk_root(leaves: &[Hash]) -> Hash {
    root_of(leaves)
}

/// The siblings from the leaf at `index` up; empty where there is no such leaf.
#[must_use]
pub fn path_in(leaves: &[Hash], index: usize) -> Vec<Hash> {
    let mut path = Vec::new();
    let (mut leaves, mut index) = (leaves, index);
    while leaves.len() > 1 && index < leaves.len() {
        let (left, right) = leaves.split_at(split(leaves.len()));
        if index < left.len() {
            path.push(root_of(right));
            leaves = left;
        } else {
            path.push(root_of(left));
            index -= left.len();
            leaves = right;
        }
    }
    path.reverse();
    path
}

/// A tree as it is kept: the roots of its chunks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chunks(Vec<Hash>);

impl Chunks {
    /// Adds the next chunk; only the last one may have fewer than [`CHUNK`] leaves.
    pub fn push(&mut self, leaves: &[Hash]) {
        self.0.push(chunk_root(leaves));
    }

    /// The tree's root.
    #[must_use]
    pub fn root(&self) -> Hash {
        root_of(&self.0)
    }

    /// The path of a leaf, by its own chunk's leaves.
    #[must_use]
    pub fn path(&self, index: u64, chunk: &[Hash]) -> Vec<Hash> {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        let mut path = path_in(chunk, index % CHUNK);
        path.extend(path_in(&self.0, index / CHUNK));
        path
    }

    /// All roots, one after the other.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|root| root.0).collect()
    }

    /// What [`to_bytes`](Self::to_bytes) gave.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let (roots, _) = bytes.as_chunks::<32>();
        Self(roots.iter().copied().map(crate::Bytes).collect())
    }
}

/// The root that a path leads to from the leaf at `index` of `count` (RFC 9162, section 2.1.3.2); `None` when a path of
/// this length cannot be.
pub(crate) fn root_by_path(leaf: &Hash, index: u64, count: u64, path: &[Hash]) -> Option<Hash> {
    let (mut at, mut last) = (index, count.checked_sub(1)?);
    if at > last {
        return None;
    }
    let mut root = *leaf;
    for sibling in path {
        if last == 0 {
            return None;
        }
        if at % 2 == 1 || at == last {
            root = node(sibling, &root);
            while at.is_multiple_of(2) && at != 0 {
                at /= 2;
                last /= 2;
            }
        } else {
            root = node(&root, sibling);
        }
        at /= 2;
        last /= 2;
    }
    (last == 0).then_some(root)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Bytes;

    fn leaves(count: usize) -> Vec<Hash> {
        (0..count)
            .map(|i| Hash::over(&[&[0], &i.to_be_bytes()]))
            .collect()
    }

    /// The test vectors of the reference implementation of RFC 6962.
    #[test]
    fn roots_are_those_of_rfc_6962() {
        let inputs: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let leaves = inputs.map(|input| Hash::over(&[&[0], input]));
        let roots = [
            (
                0,
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            ),
            (
                1,
                "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            ),
            (
                2,
                "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            ),
            (
                3,
                "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            ),
            (
                4,
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ),
            (
                8,
                "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
            ),
        ];
        for (count, root) in roots {
            assert_eq!(root_of(&leaves[..count]).to_string(), root, "{count} leaves");
        }
    }

    #[test]
    fn every_path_leads_to_the_root_and_to_no_other_place() {
        for count in 1..=70 {
            let leaves = leaves(count);
            let root = root_of(&leaves);
            for index in 0..count {
                let path = path_in(&leaves, index);
                for other in 0..=count {
                    let by_path = root_by_path(&leaves[index], other as u64, count as u64, &path);
                    assert_eq!(
                        by_path == Some(root),
                        other == index,
                        "{index} as {other} of {count}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_path_that_is_cut_or_lengthened_leads_nowhere() {
        let leaves = leaves(13);
        let path = path_in(&leaves, 5);
        let by = |path: &[Hash]| root_by_path(&leaves[5], 5, 13, path);
        assert_eq!(by(&path[..path.len() - 1]), None);
        assert_eq!(by(&[&path[..], &[Bytes([0; 32])]].concat()), None);
    }

    #[test]
    fn a_tree_kept_as_chunks_has_the_same_root_and_paths() {
        for count in [1, 2, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 5 * CHUNK + 77] {
            let leaves = leaves(count);
            let mut chunks = Chunks::default();
            leaves.chunks(CHUNK).for_each(|chunk| chunks.push(chunk));
            let kept = Chunks::from_bytes(&chunks.to_bytes());
            assert_eq!(kept.root(), root_of(&leaves), "{count} leaves");
            for index in [0, count / 3, count / 2, count - 1] {
                let first = index / CHUNK * CHUNK;
                let chunk = &leaves[first..count.min(first + CHUNK)];
                assert_eq!(kept.path(index as u64, chunk), path_in(&leaves, index));
            }
        }
    }
}
