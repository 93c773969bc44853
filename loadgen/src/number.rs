//! The few conversions that lose something, each with the reason why it may.

/// A float as a whole number, rounded down; below zero and not-a-number give 0, above the range the largest.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` from float to integer saturates, which is what is wanted"
)]
pub const fn floor_u64(value: f64) -> u64 {
    value as u64
}

/// The low 32 bits of a random word.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "the high half is used elsewhere")]
pub const fn low_u32(word: u64) -> u32 {
    word as u32
}

/// A length as it is counted in reports.
#[must_use]
pub const fn bytes(length: usize) -> u64 {
    length as u64
}

/// A count as an index or length of memory.
///
/// # Panics
/// Where a pointer has fewer than 64 bits and the count does not fit.
#[must_use]
pub fn index(count: u64) -> usize {
    usize::try_from(count).expect("counts are bounded far below the address space")
}

/// `part / whole`, and 0 when there is no whole: reports never hold a not-a-number.
#[must_use]
pub fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// Nanoseconds as seconds.
#[must_use]
pub const fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversions_saturate_instead_of_wrapping() {
        assert_eq!(floor_u64(-1.0), 0);
        assert_eq!(floor_u64(f64::NAN), 0);
        assert_eq!(floor_u64(2.9), 2);
        assert_eq!(floor_u64(1e300), u64::MAX);
    }

    #[test]
    fn ratio_without_a_whole_is_zero() {
        assert!(ratio(1.0, 0.0).abs() < f64::EPSILON);
        assert!((ratio(1.0, 4.0) - 0.25).abs() < f64::EPSILON);
    }
}
