//! Events of keys: what happened to which key. A handler notes them as they happen; they are published when what they tell
//! is durable.

use shard::types::{BatchNumber, Db};

use super::{EventClasses, Message};

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident => $text:literal $class:ident,)*) => {
        /// What happened to a key.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum EventKind {
            $($(#[$doc])* $name,)*
        }

        impl EventKind {
            const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Redis's name of it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Its class.
            #[must_use]
            #[inline]
            pub const fn class(self) -> EventClasses {
                match self { $(Self::$name => EventClasses::$class,)* }
            }
        }
    };
}

events! {
    /// The key was not there before.
    New => "new" NEW,
    /// It was asked for and not there.
    Miss => "keymiss" MISS,
    /// Its time had come.
    Expired => "expired" EXPIRED,
    /// It went to make room.
    Evicted => "evicted" EVICTED,
    /// It was deleted.
    Del => "del" GENERIC,
    /// It got a time to end at.
    Expire => "expire" GENERIC,
    /// It has no time to end at any more.
    Persist => "persist" GENERIC,
    /// It has another name now.
    RenameFrom => "rename_from" GENERIC,
    /// It had another name before.
    RenameTo => "rename_to" GENERIC,
    /// It is a copy.
    CopyTo => "copy_to" GENERIC,
    /// It left for another database.
    MoveFrom => "move_from" GENERIC,
    /// It came from another database.
    MoveTo => "move_to" GENERIC,
    /// It was made from a serialized value.
    Restore => "restore" GENERIC,
    /// It was written whole.
    Set => "set" STRING,
    /// Bytes were put at its end.
    Append => "append" STRING,
    /// Bytes were put in its midst.
    SetRange => "setrange" STRING,
    /// Bits were set.
    SetBit => "setbit" STRING,
    /// A number was added.
    IncrBy => "incrby" STRING,
    /// A number with a fraction was added.
    IncrByFloat => "incrbyfloat" STRING,
}

impl EventKind {
    /// Whether the key is not what it was.
    #[must_use]
    #[inline]
    pub const fn changes_key(self) -> bool {
        // A key that is new is told of once more, as what was written.
        !matches!(self, Self::Miss | Self::New)
    }

    /// As a byte, for messages between workers.
    #[must_use]
    pub const fn byte(self) -> u8 {
        self as u8
    }

    /// From what [`Self::byte`] gave.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.get(usize::from(byte)).copied()
    }
}

/// Something that happened to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What.
    pub kind: EventKind,
    /// The database.
    pub db: Db,
    /// The key.
    pub key: Box<[u8]>,
}

impl Event {
    /// The messages that tell it: by key, then by event.
    pub fn messages(&self, classes: EventClasses) -> impl Iterator<Item = Message> {
        let (db, name) = (self.db.0, self.kind.name().as_bytes());
        let by_key = classes.overlaps(EventClasses::BY_KEY).then(|| Message {
            is_sharded: false,
            channel: [format!("__keyspace@{db}__:").as_bytes(), &self.key].concat().into(),
            payload: name.into(),
        });
        let by_event = classes.overlaps(EventClasses::BY_EVENT).then(|| Message {
            is_sharded: false,
            channel: [format!("__keyevent@{db}__:").as_bytes(), name].concat().into(),
            payload: self.key.clone(),
        });
        by_key.into_iter().chain(by_event)
    }
}

/// Events noted and not yet published, in the order in which they happened.
#[derive(Debug, Default)]
pub struct Events {
    list: Vec<Event>,
    /// All keys of a database were deleted.
    is_flushed: bool,
    /// What some of them tell is durable with this batch.
    barrier: BatchNumber,
}

impl Events {
    /// Whether there are none.
    #[must_use]
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.list.is_empty() && !self.is_flushed
    }

    /// Notes one.
    #[cold]
    pub fn push(&mut self, kind: EventKind, db: Db, key: &[u8]) {
        self.list.push(Event { kind, db, key: key.into() });
    }

    /// Notes that all keys of a database were deleted.
    #[cold]
    pub fn push_flush(&mut self) {
        self.is_flushed = true;
    }

    /// Takes whether that was noted.
    pub fn take_flush(&mut self) -> bool {
        std::mem::take(&mut self.is_flushed)
    }

    /// What is noted is durable with this batch at the earliest.
    pub fn wait_for(&mut self, batch: BatchNumber) {
        self.barrier = self.barrier.max(batch);
    }

    /// Takes them all, and the batch that they wait for beside that of their command.
    pub fn take(&mut self) -> (Vec<Event>, BatchNumber) {
        (std::mem::take(&mut self.list), std::mem::take(&mut self.barrier))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_told_by_key_then_by_event() {
        let event = Event { kind: EventKind::RenameTo, db: Db(3), key: b"k"[..].into() };
        let told = |text| -> Vec<(String, String)> {
            let text_of = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            let classes = EventClasses::parse(text).unwrap();
            event.messages(classes).map(|one| (text_of(&one.channel), text_of(&one.payload))).collect()
        };
        let by_key = ("__keyspace@3__:k".to_owned(), "rename_to".to_owned());
        let by_event = ("__keyevent@3__:rename_to".to_owned(), "k".to_owned());
        assert_eq!(told("KEg"), [by_key.clone(), by_event.clone()]);
        assert_eq!((told("Kg"), told("Eg")), (vec![by_key], vec![by_event]));
        for kind in EventKind::ALL {
            assert_eq!(EventKind::from_byte(kind.byte()), Some(*kind));
        }
        assert_eq!(EventKind::from_byte(u8::MAX), None);
    }
}
