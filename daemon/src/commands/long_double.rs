//! x
#[derive(Clone, Copy)]
pub(super) struct LongDouble(f64);
impl LongDouble {
    pub(super) const ZERO: Self = Self(0.0);
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        resp::number::parse_f64(text).map(Self)
    }
    pub(super) fn checked_add(self, o: Self) -> Option<Self> {
        Some(Self(self.0 + o.0))
    }
    pub(super) fn to_text(self) -> String {
        self.0.to_string()
    }
}
