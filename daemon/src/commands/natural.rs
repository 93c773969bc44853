//! Whole numbers of any size, for exact conversion between decimal text and [`super::long_double`].

use std::cmp::Ordering;

/// A natural number of any size, in 32-bit words, the lowest first. Sizes are bounded by the text it came from.
#[derive(Clone, Debug)]
pub(super) struct Natural(Vec<u32>);

impl From<u64> for Natural {
    fn from(number: u64) -> Self {
        Self(vec![low(number), low(number >> 32)])
    }
}

/// The lower half.
#[expect(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
const fn low(number: u64) -> u32 {
    number as u32
}

impl Natural {
    pub(super) fn from_digits(digits: &[u8]) -> Self {
        let mut number = Self(Vec::with_capacity(digits.len() / 9 + 1));
        for group in digits.chunks(9) {
            let factor = 10_u32.pow(u32::try_from(group.len()).unwrap_or(9));
            let value = group.iter().fold(0, |value, digit| value * 10 + u32::from(*digit));
            number.multiply_add(factor, value);
        }
        number
    }

    fn multiply_add(&mut self, factor: u32, add: u32) {
        let mut carry = u64::from(add);
        for word in &mut self.0 {
            carry += u64::from(*word) * u64::from(factor);
            *word = low(carry);
            carry >>= 32;
        }
        if carry != 0 {
            self.0.push(low(carry));
        }
    }

    pub(super) fn multiply_by_tens(&mut self, count: usize) {
        for _ in 0..count / 9 {
            self.multiply_add(1_000_000_000, 0);
        }
        self.multiply_add(10_u32.pow(u32::try_from(count % 9).unwrap_or(0)), 0);
    }

    pub(super) fn is_zero(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    pub(super) fn bit_len(&self) -> usize {
        let words = self.0.iter().rposition(|word| *word != 0).map_or(0, |last| last + 1);
        words.checked_sub(1).map_or(0, |last| words * 32 - self.0[last].leading_zeros() as usize)
    }

    pub(super) fn shift_left(&mut self, bits: usize) {
        let (words, bits) = (bits / 32, bits % 32);
        let mut carry = 0_u64;
        for word in &mut self.0 {
            carry |= u64::from(*word) << bits;
            *word = low(carry);
            carry >>= 32;
        }
        self.0.push(low(carry));
        self.0.splice(0..0, std::iter::repeat_n(0, words));
    }

    pub(super) fn halve(&mut self) {
        let mut carry = 0;
        for word in self.0.iter_mut().rev() {
            let odd = *word & 1;
            *word = *word >> 1 | carry << 31;
            carry = odd;
        }
    }

    pub(super) fn compare(&self, other: &Self) -> Ordering {
        let length = self.0.len().max(other.0.len());
        let word = |number: &Self, at: usize| number.0.get(at).copied().unwrap_or(0);
        (0..length)
            .rev()
            .map(|at| word(self, at).cmp(&word(other, at)))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }

    /// Takes away a number that is not larger.
    pub(super) fn subtract(&mut self, other: &Self) {
        let mut borrow = false;
        for (at, word) in self.0.iter_mut().enumerate() {
            let (difference, under) = word.overflowing_sub(other.0.get(at).copied().unwrap_or(0));
            let (difference, again) = difference.overflowing_sub(u32::from(borrow));
            *word = difference;
            borrow = under || again;
        }
        assert!(!borrow, "the smaller is taken from the larger");
    }

    pub(super) fn into_decimal(mut self) -> String {
        let mut groups = Vec::new();
        while !self.is_zero() {
            let mut rest = 0_u64;
            for word in self.0.iter_mut().rev() {
                rest = rest << 32 | u64::from(*word);
                *word = low(rest / 1_000_000_000);
                rest %= 1_000_000_000;
            }
            while self.0.last() == Some(&0) {
                self.0.pop();
            }
            groups.push(rest);
        }
        let mut groups = groups.into_iter().rev();
        let mut text = groups.next().unwrap_or(0).to_string();
        for group in groups {
            text.push_str(&format!("{group:09}"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(number: u128) -> Natural {
        let digits: Vec<u8> = number.to_string().bytes().map(|digit| digit - b'0').collect();
        Natural::from_digits(&digits)
    }

    #[test]
    fn nothing_has_no_bits() {
        assert!(of(0).is_zero() && of(0).bit_len() == 0 && of(0).into_decimal() == "0");
    }

    #[test]
    fn a_number_beyond_128_bits_is_printed_in_full() {
        let mut number = Natural::from(7);
        number.multiply_by_tens(100);
        assert_eq!(number.into_decimal(), format!("7{}", "0".repeat(100)));
    }

    proptest! {
        #[test]
        fn it_counts_as_128_bits_do(a in any::<u128>(), b in any::<u128>(), shift in 0_usize..60) {
            prop_assert_eq!(of(a).into_decimal(), a.to_string());
            prop_assert_eq!(of(a).bit_len(), (u128::BITS - a.leading_zeros()) as usize);
            prop_assert_eq!(of(a).compare(&of(b)), a.cmp(&b));
            let (large, small) = (a.max(b), a.min(b));
            let mut difference = of(large);
            difference.subtract(&of(small));
            prop_assert_eq!(difference.into_decimal(), (large - small).to_string());
            let mut half = of(a);
            half.halve();
            prop_assert_eq!(half.into_decimal(), (a >> 1).to_string());
            let mut shifted = of(a >> 64);
            shifted.shift_left(shift);
            prop_assert_eq!(shifted.into_decimal(), ((a >> 64) << shift).to_string());
        }
    }
}
