//! The connections of one worker, by number. A number is reused under another generation, so that a late completion
//! or reply never meets a stranger.

use super::connection::Connection;

#[derive(Debug, Default)]
struct Place {
    generation: u32,
    connection: Option<Box<Connection>>,
}

/// The connections of one worker.
#[derive(Debug, Default)]
pub(crate) struct ConnectionTable {
    places: Vec<Place>,
    free: Vec<u32>,
}

/// Generations within a token: 24 bits.
const GENERATION_MASK: u32 = (1 << 24) - 1;

impl ConnectionTable {
    /// Open connections, one that is taken out included.
    pub(crate) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Adds a connection; its number and generation.
    pub(crate) fn insert(&mut self, connection: Box<Connection>) -> (u32, u32) {
        let number = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place::default());
            u32::try_from(self.places.len() - 1).expect("descriptors are fewer than 2^31")
        });
        let place = &mut self.places[number as usize];
        place.connection = Some(connection);
        (number, place.generation)
    }

    /// The generation of a number that is in use.
    pub(crate) fn generation(&self, number: u32) -> u32 {
        self.places[number as usize].generation
    }

    /// The connection, if this generation of its number is still there.
    #[inline]
    pub(crate) fn get_mut(&mut self, number: u32, generation: u32) -> Option<&mut Connection> {
        let place = self.places.get_mut(number as usize)?;
        if place.generation != generation {
            return None;
        }
        place.connection.as_deref_mut()
    }

    /// Takes a connection out to work on it; [`Self::put`] brings it back.
    #[inline]
    pub(crate) fn take(&mut self, number: u32, generation: u32) -> Option<Box<Connection>> {
        let place = self.places.get_mut(number as usize)?;
        if place.generation != generation {
            return None;
        }
        place.connection.take()
    }

    #[inline]
    pub(crate) fn put(&mut self, number: u32, connection: Box<Connection>) {
        self.places[number as usize].connection = Some(connection);
    }

    /// Frees the number of a connection that was taken out and is gone.
    pub(crate) fn free(&mut self, number: u32) {
        let place = &mut self.places[number as usize];
        assert!(place.connection.is_none(), "a connection is taken out before its number is freed");
        place.generation = (place.generation + 1) & GENERATION_MASK;
        self.free.push(number);
    }

    /// Whether a connection with unparsed input could go on with it now.
    pub(crate) fn is_runnable(&self, number: u32, generation: u32) -> bool {
        let place = self.places.get(number as usize).filter(|place| place.generation == generation);
        place.and_then(|place| place.connection.as_deref()).is_some_and(|connection| {
            let client = &connection.client;
            let waits = connection.stalled || client.blocked;
            !client.is_full() && (client.changing.is_some() || !waits)
        })
    }

    /// All connections with their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Connection)> {
        (0u32..).zip(&self.places).filter_map(|(number, place)| Some((number, place.connection.as_deref()?)))
    }

    /// Places, those without a connection included.
    pub(crate) fn places(&self) -> usize {
        self.places.len()
    }

    /// Number and generation of the connection in a place, if there is one.
    pub(crate) fn at(&self, place: usize) -> Option<(u32, u32)> {
        let found = self.places.get(place).filter(|found| found.connection.is_some())?;
        Some((u32::try_from(place).ok()?, found.generation))
    }

    /// Numbers and generations of all connections.
    pub(crate) fn numbers(&self) -> Vec<(u32, u32)> {
        self.iter().map(|(number, _)| (number, self.generation(number))).collect()
    }
}

/// What a completion of the connection layer is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// Accepting at the listener of this number.
    Accept,
    /// Receiving.
    Receive,
    /// Sending.
    Send,
    /// The farewell of a connection that was refused.
    Farewell,
}

/// Number, generation and kind in 63 bits: the top bit is the storage's.
pub(crate) fn token(kind: TokenKind, number: u32, generation: u32) -> u64 {
    let kind = match kind {
        TokenKind::Accept => 0u64,
        TokenKind::Receive => 1,
        TokenKind::Send => 2,
        TokenKind::Farewell => 3,
    };
    (kind << 56) | (u64::from(generation & GENERATION_MASK) << 32) | u64::from(number)
}

/// Number and generation of a token.
pub(crate) fn of_token(token: u64) -> (u32, u32) {
    let number = u32::try_from(token & u64::from(u32::MAX)).unwrap_or(0);
    let generation = u32::try_from((token >> 32) & u64::from(GENERATION_MASK)).unwrap_or(0);
    (number, generation)
}

/// Whether a token is of this kind.
pub(crate) fn is_kind(value: u64, kind: TokenKind) -> bool {
    (value >> 56) == (token(kind, 0, 0) >> 56)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_keep_kind_number_and_generation_and_the_top_bit_clear() {
        for kind in [TokenKind::Accept, TokenKind::Receive, TokenKind::Send, TokenKind::Farewell] {
            let value = token(kind, u32::MAX, GENERATION_MASK);
            assert!(value >> 63 == 0 && is_kind(value, kind));
            assert_eq!(of_token(value), (u32::MAX, GENERATION_MASK));
        }
    }
}
