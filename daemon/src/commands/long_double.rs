//! Numbers of INCRBYFLOAT. Redis computes with the 80-bit `long double` of x86 and prints `%.17Lf` without trailing
//! zeros; with 64-bit floats 0.1 + 0.2 would not be 0.3. This is that format in integers: 64 bits of mantissa, 15 of
//! exponent, round to nearest, ties to even, for reading, adding and printing.

use std::cmp::Ordering;

use super::natural::Natural;

/// Longest text that is read as a number. Redis: `MAX_LONG_DOUBLE_CHARS`.
const TEXT_BYTES_MAX: usize = 5 * 1024;
/// Exponent of the last bit of the smallest numbers, and of the largest.
const EXPONENT_MIN: i64 = -16_445;
const EXPONENT_MAX: i64 = 16_320;
/// Digits after the point in print.
const FRACTION_DIGITS: usize = 17;
const FRACTION_UNIT: u128 = 100_000_000_000_000_000;

/// A number: `mantissa * 2^exponent`, or infinity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LongDouble {
    is_negative: bool,
    is_infinite: bool,
    mantissa: u64,
    exponent: i64,
}

impl LongDouble {
    /// Nothing.
    pub(super) const ZERO: Self = Self { is_negative: false, is_infinite: false, mantissa: 0, exponent: 0 };

    /// Reads all of `text` as `strtold` does, by the rules of Redis: no white space, no NaN, nothing that is out of
    /// range. `inf` is a number; hexadecimal is too.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        if text.len() >= TEXT_BYTES_MAX {
            return None;
        }
        let (is_negative, digits) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, text),
        };
        let value = if digits.eq_ignore_ascii_case(b"inf") || digits.eq_ignore_ascii_case(b"infinity") {
            Self { is_infinite: true, ..Self::ZERO }
        } else if let [b'0', b'x' | b'X', rest @ ..] = digits {
            Literal::read(rest, 16, b'p')?.hexadecimal()?
        } else {
            Literal::read(digits, 10, b'e')?.decimal()?
        };
        Some(Self { is_negative, ..value })
    }

    /// The sum, rounded; none when it is not finite.
    pub(super) fn checked_add(self, other: Self) -> Option<Self> {
        if self.is_infinite || other.is_infinite {
            return None;
        }
        let (mut large, mut small) = (self.normalized(), other.normalized());
        if small.mantissa != 0 && (large.mantissa == 0 || small.exponent > large.exponent) {
            (large, small) = (small, large);
        }
        if small.mantissa == 0 {
            return Some(large);
        }
        // 62 bits below the last one of the larger number are kept, and whether anything lies below those. More is
        // not needed: unless the numbers are that close, a difference loses one leading bit at most.
        const SPARE: u32 = 62;
        let distance = u32::try_from(large.exponent - small.exponent).unwrap_or(u32::MAX);
        let a = u128::from(large.mantissa) << SPARE;
        let whole = u128::from(small.mantissa) << SPARE;
        let b = whole.checked_shr(distance).unwrap_or(0);
        let lost = distance >= u128::BITS || (b << distance) != whole;
        let exponent = large.exponent - i64::from(SPARE);
        let (is_negative, sum) = if large.is_negative == small.is_negative {
            (large.is_negative, a + b)
        } else if a >= b + u128::from(lost) {
            (large.is_negative, a - b - u128::from(lost))
        } else {
            (small.is_negative, b - a)
        };
        Self::rounded(sum, exponent, if lost { Rest::Some } else { Rest::None })
            .map(|value| Self { is_negative, ..value })
    }

    /// The same with its highest bit set, whatever exponent that takes.
    const fn normalized(self) -> Self {
        if self.mantissa == 0 {
            return self;
        }
        let shift = self.mantissa.leading_zeros();
        Self { mantissa: self.mantissa << shift, exponent: self.exponent - shift as i64, ..self }
    }

    /// `(bits + rest) * 2^exponent` as the nearest number; none when that is beyond the largest. `rest` counts only
    /// where `bits` has no bit to spare.
    fn rounded(bits: u128, exponent: i64, rest: Rest) -> Option<Self> {
        let length = i64::from(u128::BITS - bits.leading_zeros());
        let drop = (length - 64).max(EXPONENT_MIN - exponent).max(0);
        let (kept, up) = match u32::try_from(drop).unwrap_or(u32::MAX) {
            0 => (bits, rest.rounds_up(bits & 1 == 1)),
            drop if drop > u128::BITS => (0, false),
            drop => {
                let kept = bits.checked_shr(drop).unwrap_or(0);
                let dropped = bits ^ kept.checked_shl(drop).unwrap_or(0);
                let half = 1_u128 << (drop - 1);
                let below = match dropped.cmp(&half) {
                    Ordering::Less => Rest::None,
                    Ordering::Equal if rest == Rest::None => Rest::Half,
                    _ => Rest::More,
                };
                (kept, below.rounds_up(kept & 1 == 1))
            }
        };
        let (mut mantissa, mut exponent) = (kept + u128::from(up), exponent + drop);
        if mantissa >> 64 != 0 {
            (mantissa, exponent) = (mantissa >> 1, exponent + 1);
        }
        let value = Self { mantissa: u64::try_from(mantissa).ok()?, exponent, ..Self::ZERO };
        (value.mantissa == 0 || value.normalized().exponent <= EXPONENT_MAX).then_some(value)
    }

    /// The number in print: up to 17 digits after the point, rounded, and no zeros at the end.
    pub(super) fn to_text(self) -> String {
        debug_assert!(!self.is_infinite, "a sum is finite");
        let (whole, fraction) = if self.exponent >= 0 {
            let mut integer = Natural::from(self.mantissa);
            integer.shift_left(usize::try_from(self.exponent).unwrap_or(0));
            (integer.into_decimal(), 0)
        } else {
            let unit = u128::from(self.mantissa) * FRACTION_UNIT;
            let drop = u32::try_from(-self.exponent).unwrap_or(u32::MAX);
            let kept = unit.checked_shr(drop).unwrap_or(0);
            // The product has 121 bits at most: with more to drop, less than half remains.
            let half = 1_u128.checked_shl(drop - 1).unwrap_or(u128::MAX);
            let dropped = unit ^ kept.checked_shl(drop).unwrap_or(0);
            let up = dropped > half || (dropped == half && kept & 1 == 1);
            let kept = kept + u128::from(up);
            ((kept / FRACTION_UNIT).to_string(), kept % FRACTION_UNIT)
        };
        let mut text = whole;
        if fraction != 0 {
            let digits = format!("{fraction:0FRACTION_DIGITS$}");
            text.push('.');
            text.push_str(digits.trim_end_matches('0'));
        }
        if self.is_negative && text != "0" {
            text.insert(0, '-');
        }
        text
    }
}

/// What lies below the last bit kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    None,
    /// Something, less than half.
    Some,
    Half,
    More,
}

impl Rest {
    fn rounds_up(self, is_odd: bool) -> bool {
        self == Self::More || (self == Self::Half && is_odd)
    }
}

/// A number as written: digits without a point, and the power of the base that goes with them.
struct Literal {
    digits: Vec<u8>,
    /// Digits after the point.
    fraction_len: i64,
    /// The written exponent.
    exponent: i64,
}

impl Literal {
    /// Reads digits, perhaps with a point, and perhaps an exponent: all of `text`, or it is no number.
    fn read(text: &[u8], base: u32, mark: u8) -> Option<Self> {
        let split = text.iter().position(|byte| byte.eq_ignore_ascii_case(&mark));
        let (number, exponent) = split.map_or((text, None), |at| (&text[..at], Some(&text[at + 1..])));
        let point = number.iter().position(|&byte| byte == b'.').unwrap_or(number.len());
        let (whole, fraction) = (&number[..point], number.get(point + 1..).unwrap_or_default());
        let digits = whole
            .iter()
            .chain(fraction)
            .map(|&byte| char::from(byte).to_digit(base).and_then(|digit| u8::try_from(digit).ok()))
            .collect::<Option<Vec<u8>>>()?;
        if digits.is_empty() {
            return None;
        }
        let exponent = exponent.map_or(Some(0), Self::exponent)?;
        Some(Self { digits, fraction_len: i64::try_from(fraction.len()).ok()?, exponent })
    }

    /// An exponent in decimal digits, with or without a sign. One too large to matter is cut.
    fn exponent(text: &[u8]) -> Option<i64> {
        const CUT: i64 = 1 << 40;
        let (is_negative, digits) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, text),
        };
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let value =
            digits.iter().fold(0, |value: i64, digit| (value * 10 + i64::from(digit - b'0')).min(CUT));
        Some(if is_negative { -value } else { value })
    }

    /// The digits from the first that is not 0 on.
    fn significant(&self) -> &[u8] {
        let zeros = self.digits.iter().take_while(|digit| **digit == 0).count();
        &self.digits[zeros..]
    }

    fn decimal(&self) -> Option<LongDouble> {
        // The largest number has 4933 digits before the point; half the smallest has 4950 zeros after it.
        const DIGITS_MAX: i64 = 4933;
        const ZEROS_MAX: i64 = 4950;
        let digits = self.significant();
        if digits.is_empty() {
            return Some(LongDouble::ZERO);
        }
        let power = self.exponent - self.fraction_len;
        let magnitude = i64::try_from(digits.len()).ok()? + power;
        if !(-ZEROS_MAX..=DIGITS_MAX).contains(&magnitude) {
            return None;
        }
        let (mut above, mut below) = (Natural::from_digits(digits), Natural::from(1));
        let tens = usize::try_from(power.unsigned_abs()).ok()?;
        if power >= 0 {
            above.multiply_by_tens(tens)
        } else {
            below.multiply_by_tens(tens)
        }
        Self::quotient(above, below)
    }

    /// `above / below`, rounded; none when it is out of range. Neither is 0.
    fn quotient(mut above: Natural, mut below: Natural) -> Option<LongDouble> {
        // The quotient lies between 2^(order - 1) and 2^(order + 1): so it gets 64 or 65 bits, or fewer at the
        // small end.
        let order = i64::try_from(above.bit_len()).ok()? - i64::try_from(below.bit_len()).ok()?;
        let exponent = (order - 64).max(EXPONENT_MIN);
        let shift = usize::try_from(exponent.unsigned_abs()).ok()?;
        if exponent < 0 {
            above.shift_left(shift)
        } else {
            below.shift_left(shift)
        }
        let mut bits = 0_u128;
        let top = 66;
        let mut step = below.clone();
        step.shift_left(top);
        for _ in 0..=top {
            bits <<= 1;
            if above.compare(&step) != Ordering::Less {
                above.subtract(&step);
                bits |= 1;
            }
            step.halve();
        }
        above.shift_left(1);
        let rest = match above.compare(&below) {
            _ if above.is_zero() => Rest::None,
            Ordering::Less => Rest::Some,
            Ordering::Equal => Rest::Half,
            Ordering::Greater => Rest::More,
        };
        LongDouble::rounded(bits, exponent, rest).filter(|value| value.mantissa != 0)
    }

    fn hexadecimal(&self) -> Option<LongDouble> {
        let digits = self.significant();
        if digits.is_empty() {
            return Some(LongDouble::ZERO);
        }
        // 31 digits are more than a mantissa holds; of the others it only counts whether they are all 0.
        const DIGITS_MAX: usize = 31;
        let head = &digits[..digits.len().min(DIGITS_MAX)];
        let tail = &digits[head.len()..];
        let bits = head.iter().fold(0_u128, |bits, digit| bits << 4 | u128::from(*digit));
        let power = self.exponent + 4 * (i64::try_from(tail.len()).ok()? - self.fraction_len);
        let rest = if tail.iter().all(|digit| *digit == 0) { Rest::None } else { Rest::Some };
        LongDouble::rounded(bits, power, rest).filter(|value| value.mantissa != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(a: &str, b: &str) -> Option<String> {
        let (a, b) = (LongDouble::parse(a.as_bytes())?, LongDouble::parse(b.as_bytes())?);
        a.checked_add(b).map(LongDouble::to_text)
    }

    /// What Redis 7.0 on x86-64 answered.
    #[test]
    fn sums_are_those_of_redis() {
        for (a, b, expected) in [
            ("0.1", "0.2", "0.3"),
            ("10.5", "0.1", "10.6"),
            ("5.0e3", "2.0e2", "5200"),
            ("1", "-1", "0"),
            ("0", "-0", "0"),
            ("3", "1.1", "4.1"),
            ("1e-30", "0", "0"),
            ("-1e-30", "0", "0"),
            ("1e17", "0.5", "100000000000000000.5"),
            ("0x1p4", "0x.8", "16.5"),
            ("+1.", ".5", "1.5"),
            ("1e20", "1", "100000000000000000000"),
        ] {
            assert_eq!(sum(a, b).as_deref(), Some(expected), "{a} {b}");
        }
    }

    #[test]
    fn text_that_is_no_number_is_refused() {
        for text in [
            "",
            " 1",
            "1 ",
            "abc",
            "nan",
            "1e",
            "1e+",
            ".",
            "-",
            "+",
            "e5",
            "0x",
            "0x.",
            "0x1p",
            "1.2.3",
            "--1",
            "1_0",
            "1e5000",
            "-1e5000",
            "1e-5000",
            "1\0",
            "infinit",
            "0x1p99999",
            "0x1p-99999",
        ] {
            assert_eq!(LongDouble::parse(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(LongDouble::parse(&b"1".repeat(TEXT_BYTES_MAX)), None);
        assert!(LongDouble::parse(&b"0".repeat(TEXT_BYTES_MAX - 1)).is_some());
    }

    #[test]
    fn sums_that_are_not_finite_are_refused() {
        let largest = "1.18973149535723176502e4932";
        assert_eq!(sum(largest, largest), None);
        assert_eq!(sum("inf", "1"), None);
        assert_eq!(sum("inf", "-inf"), None);
        assert!(sum(largest, "1").is_some());
    }

    #[test]
    fn reading_rounds_to_the_nearest_with_ties_to_even() {
        let parts = |text: &str| LongDouble::parse(text.as_bytes()).map(|value| value.normalized());
        let whole =
            |mantissa, exponent| Some(LongDouble { mantissa, exponent, ..LongDouble::ZERO }.normalized());
        // 2^64 + 1 lies between 2^64 and 2^64 + 2; 2^64 + 3 between + 2 and + 4.
        assert_eq!(parts("18446744073709551617"), whole(1 << 63, 1));
        assert_eq!(parts("18446744073709551619"), whole((1 << 63) + 2, 1));
        assert_eq!(parts("18446744073709551617.0000000000000000000000001"), whole((1 << 63) + 1, 1));
        assert_eq!(parts("0x10000000000000001"), whole(1 << 63, 1));
        assert_eq!(parts("0x1000000000000000100000000000000000000000001"), whole((1 << 63) + 1, 105));
        // The smallest number, and half of it.
        assert_eq!(parts("3.6e-4951"), whole(1, EXPONENT_MIN));
        assert_eq!(parts("0x1p-16445"), whole(1, EXPONENT_MIN));
        assert_eq!(parts("0x1p-16446"), None);
        assert_eq!(parts("0x1.8p-16446"), whole(1, EXPONENT_MIN));
    }

    proptest::proptest! {
        #[test]
        fn integers_of_64_bits_are_exact(a in proptest::prelude::any::<i64>(), b in proptest::prelude::any::<i64>()) {
            let expected = i128::from(a) + i128::from(b);
            // A sum of 65 bits is rounded; those of 64 bits are not.
            if expected.unsigned_abs() < 1 << 64 {
                proptest::prop_assert_eq!(sum(&a.to_string(), &b.to_string()), Some(expected.to_string()));
            }
        }

        #[test]
        fn decimals_of_few_digits_add_as_on_paper(a in -39_999_i64..40_000, b in -39_999_i64..40_000) {
            let text = |number: i64| {
                let sign = if number < 0 { "-" } else { "" };
                format!("{sign}{}.{:04}", number.abs() / 10_000, number.abs() % 10_000)
            };
            let total = text(a + b);
            let total = total.trim_end_matches('0').trim_end_matches('.');
            let total = if total == "-0" { "0" } else { total };
            proptest::prop_assert_eq!(sum(&text(a), &text(b)), Some(total.to_owned()));
        }

        #[test]
        fn any_bytes_are_read_or_refused(text in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..40)) {
            let _ = LongDouble::parse(&text);
        }

        #[test]
        fn what_is_printed_is_read_again(a in "-?[0-9]{1,12}\\.[0-9]{1,6}") {
            let once = LongDouble::parse(a.as_bytes()).map(LongDouble::to_text);
            let twice = once.as_deref().and_then(|text| LongDouble::parse(text.as_bytes())).map(LongDouble::to_text);
            proptest::prop_assert_eq!(once, twice);
        }
    }
}
