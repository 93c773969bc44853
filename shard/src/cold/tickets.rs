//! Tickets: who waits for which entries, in which order, and the reads that are under way for them.

use std::collections::VecDeque;

use hashbrown::HashMap;

use super::read::{ColdReadError, verify};
use crate::extent::ColdPlace;
use crate::index::{LengthClass, Location};
use crate::io::{
    BLOCK_BYTES, BlockPool, FileId, IoBuffer, IoDone, IoError, IoOperation, IoRequest, RequestId,
};
use crate::limits::{
    COLD_READ_BYTES_IN_FLIGHT_MAX, COLD_READ_BYTES_PART, COLD_READS_IN_FLIGHT_MAX, COLD_TICKETS_MAX,
    EXTENT_BYTES,
};
use crate::planted::{self, PlantedBug};
use crate::shard::Shard;
use crate::types::{Slot, StoredDb};

/// Maps of this module hold hash bits that are keyed already, and locations: a fixed spread is safe.
type FixedState = ahash::RandomState;

fn fixed_state() -> FixedState {
    FixedState::with_seeds(0x243f, 0x6a88, 0x85a3, 0x08d3)
}

/// What a command is about to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Need {
    /// A key: every record with these hash bits in this slot of this database. Commands on it keep their order.
    Key {
        /// The database.
        db: StoredDb,
        /// The slot.
        slot: Slot,
        /// The hash bits.
        hash: u32,
    },
    /// One record of a walk. Takes no part in the order of commands.
    Record {
        /// The slot, which tells the shard.
        slot: Slot,
        /// Where it is.
        location: Location,
        /// Its length class.
        class: LengthClass,
    },
}

/// Whether a command may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Now: all it looks at is in memory, and nobody waits before it.
    Run,
    /// When its ticket is called.
    Parked,
}

/// Counters of cold reads, ever growing but for the gauges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ColdFigures {
    /// Reads from data files that ended.
    pub reads: u64,
    /// Bytes they read.
    pub read_bytes: u64,
    /// Reads that failed, or brought what is not the record.
    pub failures: u64,
    /// Commands that had to wait.
    pub parked: u64,
    /// Commands that wait now.
    pub waiting: usize,
}

/// A record on its way, or wanted: shard by its position in the set, and where.
type Wanted = (usize, Location);

struct Ticket {
    token: u64,
    needs: Vec<Need>,
    /// Entries at whose queue others stand before it.
    behind: usize,
    /// Reads it waits for.
    reads: usize,
    /// Records that have come.
    held: Vec<(Wanted, LengthClass, Box<[u8]>)>,
    /// Records that it has brought into memory.
    brought: Vec<Wanted>,
    failed: Option<ColdReadError>,
}

impl Ticket {
    /// Whether one of its needs still leads to a record.
    fn wants<P: BlockPool>(
        &self,
        of: Wanted,
        shards: &[Shard<P>],
        position_of: &impl Fn(Slot) -> usize,
    ) -> bool {
        self.needs.iter().any(|need| match *need {
            Need::Key { db, slot, hash } => {
                let (position, mut wanted) = (position_of(slot), false);
                shards[position]
                    .for_cold(db, slot, hash, |location, _, _| wanted |= (position, location) == of);
                wanted
            }
            Need::Record { slot, location, .. } => (position_of(slot), location) == of,
        })
    }
}

struct Read {
    id: RequestId,
    place: ColdPlace,
    class: LengthClass,
    started: bool,
    /// What came so far, when it comes in pieces.
    got: Vec<u8>,
    tickets: Vec<u32>,
}

/// The tickets and reads of a set of shards.
pub(crate) struct ColdReads<P: BlockPool> {
    tickets: Vec<Option<Ticket>>,
    free: Vec<u32>,
    /// Tickets by entry, first come first. An entry without tickets is not here.
    queues: HashMap<Need, VecDeque<u32>, FixedState>,
    reads: HashMap<Wanted, Read, FixedState>,
    by_id: HashMap<RequestId, Wanted, FixedState>,
    /// Reads that wait for others to end.
    unstarted: VecDeque<Wanted>,
    in_flight: usize,
    in_flight_max: usize,
    /// Bytes of the buffers that they read into.
    in_flight_bytes: usize,
    in_flight_bytes_max: usize,
    /// Tickets that have all they need.
    ready: VecDeque<u32>,
    requests: VecDeque<IoRequest<P>>,
    next_id: u64,
    figures: ColdFigures,
}

impl<P: BlockPool> ColdReads<P> {
    /// None yet. Request ids are `first_id` and above.
    pub(crate) fn new(first_id: u64) -> Self {
        Self {
            tickets: Vec::new(),
            free: Vec::new(),
            queues: HashMap::with_hasher(fixed_state()),
            reads: HashMap::with_hasher(fixed_state()),
            by_id: HashMap::with_hasher(fixed_state()),
            unstarted: VecDeque::new(),
            in_flight: 0,
            in_flight_max: COLD_READS_IN_FLIGHT_MAX,
            in_flight_bytes: 0,
            in_flight_bytes_max: COLD_READ_BYTES_IN_FLIGHT_MAX,
            ready: VecDeque::new(),
            requests: VecDeque::new(),
            next_id: first_id,
            figures: ColdFigures::default(),
        }
    }

    /// What is read into memory at once at most, where that has a bound: a small part of it, beside what it counts.
    pub(crate) fn set_memory_bound(&mut self, bound: Option<u64>) {
        let part = bound.map_or(u64::MAX, |bytes| bytes / COLD_READ_BYTES_PART);
        let part = usize::try_from(part).unwrap_or(usize::MAX);
        self.in_flight_bytes_max = part.clamp(EXTENT_BYTES, COLD_READ_BYTES_IN_FLIGHT_MAX);
    }

    /// So many reads fly at once at most.
    pub(crate) fn set_in_flight_max(&mut self, reads: usize) {
        assert!(reads > 0, "at least one read may fly");
        self.in_flight_max = reads;
    }

    pub(crate) fn figures(&self) -> ColdFigures {
        ColdFigures { waiting: self.tickets.len() - self.free.len(), ..self.figures }
    }

    /// Whether nobody waits.
    #[inline]
    pub(crate) fn is_idle(&self) -> bool {
        self.tickets.len() == self.free.len()
    }

    /// Whether somebody waits at an entry.
    #[inline]
    pub(crate) fn is_queued(&self, need: &Need) -> bool {
        !self.queues.is_empty() && self.queues.contains_key(need)
    }

    /// Whether as many wait as should: whoever can hold a command back does.
    pub(crate) fn is_full(&self) -> bool {
        self.tickets.len() - self.free.len() >= COLD_TICKETS_MAX
    }

    /// Leaves a ticket for a command that cannot run now.
    pub(crate) fn park(
        &mut self,
        token: u64,
        mut needs: Vec<Need>,
        shards: &[Shard<P>],
        position_of: impl Fn(Slot) -> usize,
    ) {
        // A key that is named twice queues once.
        if needs.len() > 1 {
            let mut seen = hashbrown::HashSet::with_hasher(fixed_state());
            needs.retain(|need| seen.insert(*need));
        }
        let number = self.free.pop().unwrap_or_else(|| {
            self.tickets.push(None);
            u32::try_from(self.tickets.len() - 1).unwrap_or(u32::MAX)
        });
        let mut behind = 0;
        for need in needs.iter().filter(|need| matches!(need, Need::Key { .. })) {
            let queue = self.queues.entry(*need).or_default();
            behind += usize::from(!queue.is_empty());
            queue.push_back(number);
        }
        let ticket =
            Ticket { token, needs, behind, reads: 0, held: Vec::new(), brought: Vec::new(), failed: None };
        self.tickets[number as usize] = Some(ticket);
        self.figures.parked += 1;
        if behind == 0 {
            self.gather(number, shards, &position_of);
        }
    }

    fn ticket(&mut self, number: u32) -> &mut Ticket {
        self.tickets[number as usize].as_mut().expect("a ticket is there until it is finished")
    }

    /// Asks for all that a ticket at the front of its queues still lacks; calls it when that is nothing.
    fn gather(&mut self, number: u32, shards: &[Shard<P>], position_of: &impl Fn(Slot) -> usize) {
        let mut wanted: Vec<(Wanted, ColdPlace, LengthClass)> = Vec::new();
        let ticket = self.ticket(number);
        assert!(ticket.behind == 0 && ticket.reads == 0, "a ticket gathers when it is at the front");
        for need in &ticket.needs {
            match *need {
                Need::Key { db, slot, hash } => {
                    let position = position_of(slot);
                    shards[position].for_cold(db, slot, hash, |location, class, place| {
                        wanted.push(((position, location), place, class));
                    });
                }
                Need::Record { slot, location, class } => {
                    let position = position_of(slot);
                    if let Some(place) = shards[position].cold_record(location, class) {
                        wanted.push(((position, location), place, class));
                    }
                }
            }
        }
        wanted.retain(|(of, ..)| !ticket.held.iter().any(|(held, ..)| held == of));
        ticket.reads = wanted.len();
        if wanted.is_empty() {
            self.ready.push_back(number);
            return;
        }
        for (of, place, class) in wanted {
            let read = self.reads.entry(of).or_insert_with(|| {
                let id = RequestId(self.next_id);
                self.next_id += 1;
                self.unstarted.push_back(of);
                Read { id, place, class, started: false, got: Vec::new(), tickets: Vec::new() }
            });
            read.tickets.push(number);
        }
    }

    /// The next read to perform.
    pub(crate) fn next_io(&mut self, shards: &[Shard<P>], pool: &mut P) -> Option<IoRequest<P>> {
        if let Some(request) = self.requests.pop_front() {
            return Some(request);
        }
        if self.in_flight >= self.in_flight_max {
            return None;
        }
        let of = *self.unstarted.front()?;
        let read = self.reads.get_mut(&of).expect("an unstarted read is wanted");
        if self.in_flight > 0 && self.in_flight_bytes + read.place.len > self.in_flight_bytes_max {
            return None;
        }
        self.unstarted.pop_front();
        assert!(!read.started, "a read is started once");
        read.started = true;
        self.in_flight += 1;
        self.in_flight_bytes += read.place.len;
        self.by_id.insert(read.id, of);
        let (id, place) = (read.id, read.place);
        let file = FileId::ShardData { shard: shards[of.0].id() };
        let buffer = pool.take(place.len);
        let operation = IoOperation::Read { file, offset: place.offset, buffer, len: place.len };
        Some(IoRequest { id, operation })
    }

    /// A read has ended.
    pub(crate) fn on_io(
        &mut self,
        done: IoDone<P>,
        shards: &mut [Shard<P>],
        pool: &mut P,
        position_of: impl Fn(Slot) -> usize,
    ) {
        let of = self.by_id.remove(&done.id).expect("a completion has its read");
        let IoBuffer::Owned(buffer) = done.buffer else { unreachable!("a read's buffer comes back with it") };
        let mut buffer = match self.read_on(of, done.result, buffer, shards) {
            Ok(()) => return,
            Err(came) => came,
        };
        let mut read = self.reads.remove(&of).expect("a read that was started is wanted");
        self.in_flight -= 1;
        self.in_flight_bytes -= read.place.len;
        self.figures.reads += 1;
        self.figures.read_bytes += done.result.unwrap_or(0) as u64;
        let (position, location) = of;
        // A record that has moved or died meanwhile is not asked for any more: its place may hold something else.
        let moved = shards[position].cold_record(location, read.class) != Some(read.place)
            && !planted::is(PlantedBug::StaleColdRead);
        let verified = if moved {
            None
        } else {
            let seal = shards[position].extents().identity().expect("only extents on disk are read");
            let (bytes, result) = if read.got.is_empty() {
                (buffer.as_mut(), done.result)
            } else {
                let len = read.got.len();
                (&mut read.got[..], done.result.map(|_| len))
            };
            Some(verify(seal, location, read.place, bytes, result).map(Box::<[u8]>::from))
        };
        if matches!(verified, Some(Err(_))) {
            self.figures.failures += 1;
        }
        let mut complete = Vec::new();
        for number in read.tickets {
            let ticket = self.tickets[number as usize].as_mut().expect("a ticket waits for its reads");
            ticket.reads -= 1;
            match &verified {
                Some(Ok(record)) => ticket.held.push((of, read.class, record.clone())),
                // What nothing points at any more was dead already: its bytes do not matter.
                Some(Err(error)) if ticket.wants(of, shards, &position_of) => {
                    ticket.failed = ticket.failed.or(Some(*error));
                }
                Some(Err(_)) | None => {}
            }
            if ticket.reads == 0 {
                complete.push(number);
            }
        }
        pool.put(buffer);
        for number in complete {
            self.complete(number, shards, &position_of);
        }
    }

    /// Goes on with a read that was cut short. Gives the buffer back when the read is at its end, whatever came.
    fn read_on(
        &mut self,
        of: Wanted,
        result: Result<usize, IoError>,
        buffer: P::Buffer,
        shards: &[Shard<P>],
    ) -> Result<(), P::Buffer> {
        let read = self.reads.get_mut(&of).expect("a read that was started is wanted");
        let Ok(len) = result else { return Err(buffer) };
        let whole_read = read.got.is_empty() && len >= read.place.len;
        if whole_read {
            return Err(buffer);
        }
        // A read may be cut short anywhere; only a read of less than a block is the end of the file.
        let whole = len - len % BLOCK_BYTES;
        read.got.extend_from_slice(&buffer.as_ref()[..whole]);
        let left = read.place.len - read.got.len();
        if whole == 0 || left == 0 || planted::is(PlantedBug::ShortColdReadAccepted) {
            return Err(buffer);
        }
        let id = RequestId(self.next_id);
        self.next_id += 1;
        self.by_id.insert(id, of);
        let file = FileId::ShardData { shard: shards[of.0].id() };
        let offset = read.place.offset + read.got.len() as u64;
        let operation = IoOperation::Read { file, offset, buffer, len: left };
        self.requests.push_back(IoRequest { id, operation });
        Ok(())
    }

    /// All reads of a ticket have ended: it is called, unless what it needs is elsewhere by now.
    fn complete(&mut self, number: u32, shards: &mut [Shard<P>], position_of: &impl Fn(Slot) -> usize) {
        if self.ticket(number).failed.is_some() {
            self.ready.push_back(number);
        } else {
            self.gather(number, shards, position_of);
        }
    }

    /// The next ticket to be called: its records are in memory now. Run its command, then finish it.
    pub(crate) fn next_ready(
        &mut self,
        shards: &mut [Shard<P>],
        position_of: impl Fn(Slot) -> usize,
    ) -> Option<(u32, u64, Result<(), ColdReadError>)> {
        loop {
            let number = self.ready.pop_front()?;
            let ticket = self.ticket(number);
            if let Some(error) = ticket.failed {
                return Some((number, ticket.token, Err(error)));
            }
            let token = ticket.token;
            // What it holds stays with it until it is called: where all of it is more than there is memory for, some may have
            // left again when the last has come.
            for &((position, location), class, ref record) in &ticket.held {
                if shards[position].cold_record(location, class).is_some() {
                    shards[position].remember(location, record);
                    ticket.brought.push((position, location));
                }
            }
            if planted::is(PlantedBug::StaleColdRead) {
                return Some((number, token, Ok(())));
            }
            self.gather(number, shards, &position_of);
            if self.ready.back() == Some(&number) {
                self.ready.pop_back();
                self.ticket(number).held = Vec::new();
                return Some((number, token, Ok(())));
            }
        }
    }

    /// Calls a ticket once more, under another token, before it is finished: it is still the first of its queues.
    pub(crate) fn recall(
        &mut self,
        number: u32,
        token: u64,
        shards: &[Shard<P>],
        position_of: impl Fn(Slot) -> usize,
    ) {
        let ticket = self.ticket(number);
        ticket.token = token;
        ticket.failed = None;
        self.gather(number, shards, &position_of);
    }

    /// The first record that a ticket's walk was about.
    pub(crate) fn record_of(&self, number: u32) -> Option<(Slot, Location)> {
        self.tickets[number as usize].as_ref()?.needs.iter().find_map(|need| match *need {
            Need::Record { slot, location, .. } => Some((slot, location)),
            Need::Key { .. } => None,
        })
    }

    /// A called command has run: those behind it are next.
    pub(crate) fn finish(&mut self, number: u32, shards: &[Shard<P>], position_of: impl Fn(Slot) -> usize) {
        let ticket = self.tickets[number as usize].take().expect("a ticket is finished once");
        self.free.push(number);
        for (position, location) in ticket.brought {
            shards[position].extents().forget_use(location);
        }
        let mut next = Vec::new();
        for need in ticket.needs.iter().filter(|need| matches!(need, Need::Key { .. })) {
            let queue = self.queues.get_mut(need).expect("a ticket stands in its queues");
            assert_eq!(queue.pop_front(), Some(number), "only the first of a queue runs");
            match queue.front() {
                Some(&front) => {
                    let front_ticket = self.tickets[front as usize].as_mut().expect("it waits");
                    front_ticket.behind -= 1;
                    if front_ticket.behind == 0 {
                        next.push(front);
                    }
                }
                None => {
                    self.queues.remove(need);
                }
            }
        }
        for front in next {
            self.gather(front, shards, &position_of);
        }
    }
}
