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

/// The number that `text` is, as `INCRBYFLOAT` reads its arguments and stored values: a decimal number with
/// optional sign, fraction and exponent, or an infinity. White space, NaN, and what over- or underflows are none.
///
/// Redis reads with `strtold` into 80 bits. This differs where an `f64` cannot follow: magnitudes above 1.8e308 or
/// below 4.9e-324 are refused, about 16 significant digits are kept where Redis keeps about 19, and hexadecimal
/// numbers (`0x1p3`) are refused.
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

/// The integer that `number` is, within the range in which Redis prints a double as an integer (`double2ll`): less
/// than half of 64 bits, so that the conversion is certain to be exact.
fn exact_integer(number: f64) -> Option<i64> {
    const BOUND: f64 = 4_611_686_018_427_387_904.0; // 2^62
    if !(-BOUND..BOUND).contains(&number) || number.fract() != 0.0 {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^62 in magnitude")]
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

/// Appends `number` as `INCRBYFLOAT` answers and stores it: plain notation, never an exponent, at most 17 digits
/// after the point, no zeros at the end, no `-0`. Infinities, which the command refuses, become `inf` and `-inf`.
///
/// Redis prints an 80-bit number with `%.17Lf`. Printing an `f64` that way would show its noise (`10.6` as
/// `10.59999999999999964`), so the digits are the shortest that read back as the same `f64`. The texts agree as long
/// as the exact result has at most 15 significant digits; beyond that Redis shows up to 19, we up to 17.
pub fn write_plain_double(out: &mut Vec<u8>, number: f64) {
    const FRACTION_DIGITS_MAX: usize = 17;
    if !number.is_finite() {
        return write_double(out, number);
    }
    let mut text = format!("{number}");
    if text.split_once('.').is_some_and(|(_, fraction)| fraction.len() > FRACTION_DIGITS_MAX) {
        text = format!("{number:.FRACTION_DIGITS_MAX$}");
    }
    let mut plain = text.as_str();
    if plain.contains('.') {
        plain = plain.trim_end_matches('0').trim_end_matches('.');
    }
    out.extend_from_slice(if plain == "-0" { b"0" } else { plain.as_bytes() });
}
