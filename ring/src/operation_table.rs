//! The table of operations in flight: the owner of all memory that the kernel currently uses.
//!
//! Rule: a slot is freed only at the kernel's last completion of its operation, and every use of a slot has its own
//! generation, so that a late cancel or completion never meets a stranger. Grows on demand, never shrinks.

use crate::completion::{OperationId, Token};
use crate::limits::OPERATIONS_MAX;
use crate::operation::Operation;

/// One place of the table.
struct Slot {
    generation: u32,
    /// Times this operation was repeated after EINTR or EAGAIN.
    retries: u8,
    /// A cancel was asked for: do not continue or repeat.
    cancelled: bool,
    token: Token,
    operation: Option<Operation>,
}

/// A live operation, seen for the length of one completion.
pub(crate) struct Live<'a> {
    pub(crate) token: Token,
    pub(crate) retries: &'a mut u8,
    pub(crate) cancelled: bool,
    pub(crate) operation: &'a mut Operation,
}

#[derive(Default)]
pub(crate) struct OperationTable {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

impl OperationTable {
    pub(crate) fn with_capacity(operations: usize) -> Self {
        Self { slots: Vec::with_capacity(operations), free: Vec::with_capacity(operations) }
    }

    /// Operations in flight.
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(crate) fn insert(&mut self, token: Token, operation: Operation) -> OperationId {
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                assert!(self.slots.len() < OPERATIONS_MAX, "the caller bounds its operations");
                let index = u32::try_from(self.slots.len()).expect("OPERATIONS_MAX fits u32");
                self.slots.push(Slot { generation: 0, retries: 0, cancelled: false, token, operation: None });
                index
            }
        };
        let slot = &mut self.slots[at(index)];
        assert!(slot.operation.is_none(), "a free slot holds nothing");
        slot.retries = 0;
        slot.cancelled = false;
        slot.token = token;
        slot.operation = Some(operation);
        OperationId { index, generation: slot.generation }
    }

    /// The operation a completion belongs to. The kernel completes only what was submitted.
    pub(crate) fn live(&mut self, id: OperationId) -> Live<'_> {
        let slot = &mut self.slots[at(id.index)];
        assert_eq!(slot.generation, id.generation, "a completion for an operation that has ended");
        let operation = slot.operation.as_mut().expect("a slot of this generation is in use");
        Live { token: slot.token, retries: &mut slot.retries, cancelled: slot.cancelled, operation }
    }

    /// Ends an operation: its memory passes to the caller.
    pub(crate) fn remove(&mut self, id: OperationId) -> Operation {
        let slot = &mut self.slots[at(id.index)];
        assert_eq!(slot.generation, id.generation, "an operation ends once");
        let operation = slot.operation.take().expect("a slot of this generation is in use");
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(id.index);
        operation
    }

    /// Notes that the caller wants the operation ended. False if it has ended already.
    pub(crate) fn mark_cancelled(&mut self, id: OperationId) -> bool {
        let Some(slot) = self.slots.get_mut(at(id.index)) else { return false };
        let live = slot.generation == id.generation && slot.operation.is_some();
        slot.cancelled |= live;
        live
    }

    /// All operations in flight.
    pub(crate) fn ids(&self) -> Vec<OperationId> {
        let live = self.slots.iter().enumerate().filter(|(_, slot)| slot.operation.is_some());
        live.map(|(index, slot)| OperationId {
            index: u32::try_from(index).expect("OPERATIONS_MAX fits u32"),
            generation: slot.generation,
        })
        .collect()
    }
}

fn at(index: u32) -> usize {
    usize::try_from(index).expect("u32 fits usize on 64-bit Linux")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fd::Fd;

    fn sync() -> Operation {
        Operation::Sync { file: Fd::from(tempfile::tempfile().unwrap()), data_only: true }
    }

    #[test]
    fn a_reused_slot_is_not_reached_by_an_old_id() {
        let mut table = OperationTable::default();
        let first = table.insert(1, sync());
        table.remove(first);
        let second = table.insert(2, sync());
        assert_eq!(first.index, second.index);
        assert_ne!(first, second);
        assert!(!table.mark_cancelled(first));
        assert!(table.mark_cancelled(second));
        assert_eq!(table.live(second).token, 2);
        assert_eq!((table.len(), table.ids()), (1, vec![second]));
    }

    #[test]
    #[should_panic(expected = "a completion for an operation that has ended")]
    fn a_second_final_completion_stops_the_process() {
        let mut table = OperationTable::default();
        let id = table.insert(1, sync());
        table.remove(id);
        table.live(id);
    }
}
