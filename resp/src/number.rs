//! Numbers as text, by the rules of Redis: strict integers in, the accustomed doubles out.
//!
//! Integers follow `string2ll`: there is exactly one text for each number, so a counter stored as text can be
//! compared and kept as a number.

/// Longest text of an `i64`: `-9223372036854775808`.
pub const I64_TEXT_BYTES_MAX: usize = 20;

/// The number that `text` is: an optional `-`, then digits without leading zeros. `+1`, `-0`, `01`, ` 1`, the
/// empty text and what does not fit are none.
#[must_use]
pub fn parse_i64_strict(text: &[u8]) -> Option<i64> {
    match text {
        [b'-', digits @ ..] => match parse_u64_strict(digits)? {
            0 => None,
            magnitude => 0_i64.checked_sub_unsigned(magnitude),
        },
        digits => i64::try_from(parse_u64_strict(digits)?).ok(),
    }
}

/// The number that `text` is: digits without leading zeros. What does not fit is none.
#[must_use]
pub fn parse_u64_strict(text: &[u8]) -> Option<u64> {
    match text {
        [] => None,
        [b'0'] => Some(0),
        [b'0', ..] => None,
        _ => text.iter().try_fold(0_u64, |number, byte| {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return None;
            }
            number.checked_mul(10)?.checked_add(u64::from(digit))
        }),
    }
}

/// Appends the text of `number`.
#[inline]
pub fn write_i64(out: &mut Vec<u8>, number: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends the text of `number`.
#[inline]
pub fn write_u64(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// The double that `text` is: a decimal number with optional sign, fraction and exponent, or `inf` or `infinity` in
/// any case. White space, NaN, and numbers too large or too small for a double are none, as in Redis (`string2d`);
/// so are hexadecimal ones (`0x1p3`), which Redis takes. `INCRBYFLOAT` computes with 80 bits, not with this.
#[must_use]
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    let number: f64 = text.parse().ok()?;
    let unsigned = text.trim_start_matches(['+', '-']);
    let is_word = unsigned.starts_with(['i', 'I', 'n', 'N']);
    if number.is_nan() || (number.is_infinite() && !is_word) {
        return None;
    }
    let mantissa = unsigned.split(['e', 'E']).next().unwrap_or_default();
    if number == 0.0 && mantissa.bytes().any(|byte| matches!(byte, b'1'..=b'9')) {
        return None;
    }
    Some(number)
}

/// Appends `number` as RESP3 doubles and scores are written (`d2string`): `nan`, `inf`, `-inf`, `-0`, the integer
/// when it is one that fits 64 bits, else the shortest digits that read back as the same number, with an exponent
/// only for very large and very small ones.
pub fn write_double(out: &mut Vec<u8>, number: f64) {
    if number.is_nan() {
        return out.extend_from_slice(b"nan");
    }
    if number.is_infinite() {
        return out.extend_from_slice(if number < 0.0 { b"-inf" } else { b"inf" });
    }
    if number == 0.0 {
        return out.extend_from_slice(if number.is_sign_negative() { b"-0" } else { b"0" });
    }
    if let Some(integer) = exact_integer(number) {
        return write_i64(out, integer);
    }
    write_shortest(out, number);
}

/// The integer that `number` is, within the range in which Redis prints a double as an integer (`double2ll`): half
/// of what 64 bits hold, so that the conversion is certain to be exact.
fn exact_integer(number: f64) -> Option<i64> {
    const BOUND: f64 = 4_611_686_018_427_387_904.0; // 2^62
    if !(-BOUND..=BOUND).contains(&number) || number.fract() != 0.0 {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "a whole number of at most 2^62 in magnitude")]
    Some(number as i64)
}

/// The shortest digits that read back as `number`, laid out as `fpconv_dtoa` does.
fn write_shortest(out: &mut Vec<u8>, number: f64) {
    // `{:e}` gives those digits as `d.ddde-x`.
    let text = format!("{:e}", number.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let digits: Vec<u8> = mantissa.bytes().filter(|byte| *byte != b'.').collect();
    let digit_count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    // number = digits * 10^scale
    let scale = exponent - (digit_count - 1);
    if number < 0.0 {
        out.push(b'-');
    }
    if scale >= 0 && exponent < digit_count + 7 {
        out.extend_from_slice(&digits);
        out.extend(std::iter::repeat_n(b'0', usize::try_from(scale).unwrap_or_default()));
    } else if scale < 0 && (scale > -7 || exponent.abs() < 4) {
        write_with_point(out, &digits, exponent);
    } else {
        out.push(digits[0]);
        if digits.len() > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits[1..]);
        }
        out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
        write_u64(out, u64::from(exponent.unsigned_abs()));
    }
}

/// Digits with a decimal point after the one that stands for 10^exponent.
fn write_with_point(out: &mut Vec<u8>, digits: &[u8], exponent: i32) {
    match usize::try_from(exponent) {
        Ok(exponent) => {
            let (whole, fraction) = digits.split_at(exponent + 1);
            out.extend_from_slice(whole);
            out.push(b'.');
            out.extend_from_slice(fraction);
        }
        Err(_) => {
            let zeros = usize::try_from(exponent.unsigned_abs()).unwrap_or_default() - 1;
            out.extend_from_slice(b"0.");
            out.extend(std::iter::repeat_n(b'0', zeros));
            out.extend_from_slice(digits);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::{parse_f64, parse_i64_strict, parse_u64_strict, write_double, write_i64, write_u64};

    #[test]
    fn each_integer_has_one_text() {
        for (text, number) in [
            ("0", 0),
            ("7", 7),
            ("-1", -1),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(parse_i64_strict(text.as_bytes()), Some(number), "{text:?}");
        }
        for text in [
            "",
            "-",
            "+1",
            "-0",
            "00",
            "01",
            "-01",
            " 1",
            "1 ",
            "1x",
            "x",
            "1.0",
            "1e3",
            "--1",
            "0x10",
            "\u{661}",
            "9223372036854775808",
            "-9223372036854775809",
            "18446744073709551616",
            "99999999999999999999999",
        ] {
            assert_eq!(parse_i64_strict(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn unsigned_integers_have_no_sign() {
        assert_eq!(parse_u64_strict(b"0"), Some(0));
        assert_eq!(parse_u64_strict(b"18446744073709551615"), Some(u64::MAX));
        for text in [&b""[..], b"-1", b"+1", b"-0", b"00", b"18446744073709551616"] {
            assert_eq!(parse_u64_strict(text), None, "{text:?}");
        }
    }

    #[test]
    fn doubles_are_decimal_or_infinite() {
        for (text, number) in [
            ("0", 0.0),
            ("-0", -0.0),
            ("10.5", 10.5),
            ("+1.5", 1.5),
            (".5", 0.5),
            ("5.", 5.0),
            ("5.0e3", 5000.0),
            ("1E-2", 0.01),
            ("inf", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
            ("4.9e-324", 5e-324),
            ("0e999", 0.0),
            ("0.000", 0.0),
        ] {
            let parsed = parse_f64(text.as_bytes()).map(f64::to_bits);
            assert_eq!(parsed, Some(number.to_bits()), "{text:?}");
        }
        for text in [
            "", " ", "1 ", " 1", "abc", "1.2.3", "1e", "e1", ".", "-", "+", "nan", "-nan", "NaN", "1e309",
            "-1e309", "1e-400", "0.1e-400", "0x10", "1_000", "1,5", "infinit", "--1", "\0",
        ] {
            assert_eq!(parse_f64(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(parse_f64(b"1\xff"), None);
    }

    fn check_double(number: f64, expected: &str) {
        let mut out = Vec::new();
        write_double(&mut out, number);
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }

    #[test]
    fn doubles_are_written_as_redis_writes_them() {
        for (number, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
            (3.0, "3"),
            (-17.0, "-17"),
            (1e18, "1000000000000000000"),
            (4_611_686_018_427_387_904.0, "4611686018427387904"),
            (1e19, "1e+19"),
            (1.5e300, "1.5e+300"),
            (-1e100, "-1e+100"),
            (0.1, "0.1"),
            (-3.25, "-3.25"),
            (0.30000000000000004, "0.30000000000000004"),
            (123_456.789, "123456.789"),
            (0.001, "0.001"),
            (0.000_001, "0.000001"),
            (0.000_000_1, "1e-7"),
            (0.000_1, "0.0001"),
            (0.001_234_567_8, "0.0012345678"),
            (0.000_123_456_7, "1.234567e-4"),
            (1_234_567.123_456_78, "1.23456712345678e+6"),
            (0.000_012_345_67, "1.234567e-5"),
            (1e-9, "1e-9"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
        ] {
            check_double(number, expected);
        }
    }

    proptest! {
        #[test]
        fn integers_read_back(number in any::<i64>()) {
            let mut out = Vec::new();
            write_i64(&mut out, number);
            assert_eq!(parse_i64_strict(&out), Some(number));
        }

        #[test]
        fn unsigned_integers_read_back(number in any::<u64>()) {
            let mut out = Vec::new();
            write_u64(&mut out, number);
            assert_eq!(parse_u64_strict(&out), Some(number));
        }

        #[test]
        fn doubles_read_back(bits in any::<u64>()) {
            let number = f64::from_bits(bits);
            let mut out = Vec::new();
            write_double(&mut out, number);
            if number.is_nan() {
                assert_eq!(out, b"nan");
            } else {
                assert_eq!(parse_f64(&out).map(f64::to_bits), Some(bits));
            }
        }
    }
}
