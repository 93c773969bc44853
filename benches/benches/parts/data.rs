//! Keys and values that the benches share: those of the side-by-side harness, 16 bytes and 64 bytes.

/// Length of a value.
pub(crate) const VALUE: [u8; 64] = [b'v'; 64];

/// The key of a number: `key:` and twelve digits.
pub(crate) fn key(number: u64) -> [u8; 16] {
    let mut key = *b"key:000000000000";
    let mut rest = number;
    for digit in key[4..].iter_mut().rev() {
        *digit = b"0123456789"[usize::try_from(rest % 10).unwrap()];
        rest /= 10;
    }
    key
}

/// Numbers below `bound` in an order that no cache foresees.
pub(crate) struct Scatter {
    state: u64,
    bound: u64,
}

impl Scatter {
    pub(crate) fn below(bound: u64) -> Self {
        Self { state: 42, bound }
    }
}

impl Iterator for Scatter {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        self.state =
            self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Some((self.state >> 33) % self.bound)
    }
}
