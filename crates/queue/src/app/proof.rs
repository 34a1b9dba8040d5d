//! What everybody may check a draw by: the proof of one receipt, and the list of all leaves.

use std::sync::Arc;

use fair_draw::{CHUNK, Chunks, Hash};
use futures::stream::{self, BoxStream, StreamExt as _};
use vocabulary::{ConcertId, QueueNumber};

use super::draw::leaves_of;
use super::{AppError, Queue};
use crate::domain::index_of;

/// Pages of lists that are read at once; the others wait.
pub(super) const LISTINGS_AT_ONCE: usize = 4;
/// Leaves in a message: 64 KiB.
const LISTED_AT_ONCE: u64 = 2_048;

/// That a receipt is under the published root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Whose line it is.
    pub concert_id: ConcertId,
    /// The order of arrival, from 0.
    pub index: u64,
    /// The siblings on the way to the root.
    pub path: Vec<Hash>,
    /// The place in line, once drawn.
    pub number: Option<QueueNumber>,
}

impl Queue {
    /// The proof of a token's receipt. It costs one chunk of leaves.
    ///
    /// # Errors
    /// A forged token; it was in no lobby; the root is not published yet; Postgres is away.
    pub async fn proof(&self, token: &str) -> Result<Proof, AppError> {
        let claims = self.verify(token)?;
        let concert = claims.concert_id;
        let index = index_of(claims.number).ok_or(AppError::NoLobby)?;
        let (tree, count) = self.tree(concert).await?;
        if index >= count {
            return Err(AppError::NoLobby);
        }
        let first = index - index % CHUNK as u64;
        let commitments = self
            .draws
            .commitments(concert, first, (CHUNK as u64).min(count - first))
            .await?;
        Ok(Proof {
            concert_id: concert,
            index,
            path: tree.path(index, &leaves_of(concert, first, &commitments)),
            number: self.number_of(concert, claims.number).await?,
        })
    }

    /// Every commitment of a sealed lobby, in order of arrival.
    ///
    /// # Errors
    /// There was no lobby; the root is not published yet; Postgres is away.
    pub async fn list_leaves(
        self: &Arc<Self>,
        concert: ConcertId,
    ) -> Result<BoxStream<'static, Result<Vec<Hash>, AppError>>, AppError> {
        struct Listing {
            queue: Arc<Queue>,
            concert: ConcertId,
            from: u64,
            count: u64,
        }
        let (_, count) = self.tree(concert).await?;
        let listing = Listing {
            queue: Arc::clone(self),
            concert,
            from: 0,
            count,
        };
        let pages = stream::try_unfold(listing, async |mut listing| {
            if listing.from >= listing.count {
                return Ok(None);
            }
            let limit = LISTED_AT_ONCE.min(listing.count - listing.from);
            // Held for a page, not for the list: who reads slowly keeps nobody waiting.
            let permit = listing
                .queue
                .listings
                .acquire()
                .await
                .map_err(|_| AppError::Busy)?;
            let page = listing
                .queue
                .draws
                .commitments(listing.concert, listing.from, limit)
                .await?;
            drop(permit);
            if page.len() as u64 != limit {
                return Err(AppError::Unsettled);
            }
            listing.from += limit;
            Ok(Some((page, listing)))
        });
        Ok(pages.boxed())
    }

    /// The kept tree of a sealed lobby, and how many it is of.
    async fn tree(&self, concert: ConcertId) -> Result<(Arc<Chunks>, u64), AppError> {
        let seen = self
            .snapshot
            .borrow()
            .rooms
            .get(&concert)
            .and_then(|view| view.draw.clone());
        let draw = match seen.filter(|draw| draw.sealed.is_some()) {
            Some(draw) => draw,
            None => Arc::new(self.draws.draw(concert).await?.ok_or(AppError::NoLobby)?),
        };
        if draw.sealed.is_none() {
            return Err(AppError::DrawPending);
        }
        let tree = match self.trees.get(concert) {
            Some(tree) => tree,
            None => {
                let chunks = self.draws.chunks(concert).await?.ok_or(AppError::DrawPending)?;
                self.trees.keep(concert, chunks)
            }
        };
        Ok((tree, draw.count))
    }
}
