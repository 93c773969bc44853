//! Operations on one key run in the order in which they came, those that waited for reads included.

use std::collections::BTreeMap;

use crate::sim::model::ModelKey;

/// The last operation that ran on each key.
#[derive(Debug, Default)]
pub(in crate::sim) struct KeyOrder(BTreeMap<ModelKey, u64>);

impl KeyOrder {
    /// An operation runs now.
    pub(in crate::sim) fn check(&mut self, number: u64, keys: &[&ModelKey]) -> Result<(), String> {
        for key in keys {
            match self.0.get_mut(*key) {
                Some(last) if *last >= number => {
                    return Err(format!("operation {number} on {key:?} ran after operation {last}"));
                }
                Some(last) => *last = number,
                None => {
                    self.0.insert((*key).clone(), number);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_that_overtakes_another_on_its_key_is_noticed() {
        let (a, b) = ((0, b"a".to_vec()), (0, b"b".to_vec()));
        let mut order = KeyOrder::default();
        assert!(order.check(2, &[&a]).is_ok() && order.check(1, &[&b]).is_ok());
        assert!(order.check(3, &[&a, &b]).is_ok());
        assert!(order.check(2, &[&b]).is_err());
    }
}
