//! Little-endian fields of on-disk structures: a reader that never runs past the end, and its writing twin.

/// Reads fields one after the other. `None` means the bytes ended first.
pub(crate) struct FieldReader<'a> {
    bytes: &'a [u8],
}

impl<'a> FieldReader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.bytes.split_first_chunk::<N>()?;
        self.bytes = rest;
        Some(*field)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|field| field[0])
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// Whether all that is left is zeros: reserved bytes and padding are, so that a later format may use them.
    pub(crate) fn rest_is_zero(&self) -> bool {
        is_zero(self.bytes)
    }
}

/// Whether all bytes are 0.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    // In steps of 64 the compiler compares vectors: recovery asks this of whole segments.
    let (steps, rest) = bytes.as_chunks::<64>();
    steps.iter().all(|step| step.iter().fold(0, |any, &byte| any | byte) == 0)
        && rest.iter().all(|&byte| byte == 0)
}

/// Appends fields one after the other.
#[derive(Default)]
pub(crate) struct FieldWriter {
    bytes: Vec<u8>,
}

impl FieldWriter {
    pub(crate) fn bytes(&mut self, field: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(field);
        self
    }

    pub(crate) fn u8(&mut self, field: u8) -> &mut Self {
        self.bytes(&[field])
    }

    pub(crate) fn u16(&mut self, field: u16) -> &mut Self {
        self.bytes(&field.to_le_bytes())
    }

    pub(crate) fn u32(&mut self, field: u32) -> &mut Self {
        self.bytes(&field.to_le_bytes())
    }

    pub(crate) fn u64(&mut self, field: u64) -> &mut Self {
        self.bytes(&field.to_le_bytes())
    }

    /// The bytes, padded with zeros to a multiple of `unit`.
    pub(crate) fn finish(mut self, unit: usize) -> Vec<u8> {
        let len = self.bytes.len().next_multiple_of(unit);
        self.bytes.resize(len, 0);
        self.bytes
    }
}
