//! Values of options read into numbers, each with an error that shows the form.

use std::time::Duration;

use crate::sizes::Sizes;
use crate::values::DataKind;

/// Weights of SET and GET.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ratio {
    /// Weight of SET.
    pub set: u32,
    /// Weight of GET.
    pub get: u32,
}

/// Requests per second.
#[derive(Clone, Debug, PartialEq)]
pub enum Rate {
    /// As fast as replies come: closed loop.
    Max,
    /// On schedule: open loop.
    PerSecond(f64),
    /// From the first rate evenly to the second over the window.
    Ramp(f64, f64),
    /// One rate after the other.
    Steps {
        /// The rates.
        rates: Vec<f64>,
        /// How long each.
        each: Duration,
    },
}

/// Processors by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuList(pub Vec<usize>);

pub(crate) fn parse_ratio(text: &str) -> Result<Ratio, String> {
    let usage = || "expected two weights as SET:GET, like 1:10, 1:0 or 0:1".to_owned();
    let (set, get) = text.split_once(':').ok_or_else(usage)?;
    let weight = |text: &str| text.trim().parse::<u32>().map_err(|_| usage());
    let ratio = Ratio { set: weight(set)?, get: weight(get)? };
    if ratio.set == 0 && ratio.get == 0 {
        return Err("at least one weight must be above 0".to_owned());
    }
    Ok(ratio)
}

/// `30s`, `500ms`, `1.5m`, `2h`; a bare number is seconds.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit_s = match &text[digits.len()..] {
        "" | "s" => 1.0,
        "ms" => 1e-3,
        "us" => 1e-6,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return Err("expected a time like 30s, 500ms, 5m or 1h".to_owned()),
    };
    let number: f64 = digits.parse().map_err(|_| "expected a time like 30s, 500ms, 5m or 1h".to_owned())?;
    let seconds = number * unit_s;
    if !(0.0..=DURATION_MAX_S).contains(&seconds) {
        return Err("times go from 0 to 30 days".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}

const DURATION_MAX_S: f64 = 30.0 * 86_400.0;

/// A number with an optional decimal unit: `50k`, `1.5M`, `1e6`.
pub(crate) fn parse_scaled(text: &str) -> Option<f64> {
    let (digits, unit) = match text.as_bytes().last()? {
        b'k' | b'K' => (&text[..text.len() - 1], 1e3),
        b'm' | b'M' => (&text[..text.len() - 1], 1e6),
        b'g' | b'G' => (&text[..text.len() - 1], 1e9),
        _ => (text, 1.0),
    };
    let number: f64 = digits.parse().ok()?;
    let scaled = number * unit;
    (scaled.is_finite() && scaled >= 0.0).then_some(scaled)
}

pub(crate) fn parse_count(text: &str) -> Result<u64, String> {
    if let Ok(exact) = text.parse::<u64>() {
        return Ok(exact);
    }
    let scaled = parse_scaled(text).ok_or("expected a number like 100000, 50k or 1.5M")?;
    // Above 2^53 a float skips numbers; nobody counts that far with a unit.
    if scaled.fract() != 0.0 || scaled > 9e15 {
        return Err("expected a whole number like 100000, 50k or 1.5M".to_owned());
    }
    Ok(crate::number::floor_u64(scaled))
}

pub(crate) fn parse_rate(text: &str) -> Result<Rate, String> {
    if text == "max" {
        return Ok(Rate::Max);
    }
    let usage = || {
        "expected requests per second like 50000, 50k or 1.5M, a ramp 10k..100k, steps 10k..100k/10k@5s, or max"
            .to_owned()
    };
    let one = |text: &str| parse_scaled(text).filter(|rate| *rate > 0.0).ok_or_else(usage);
    let Some((first, rest)) = text.split_once("..") else { return one(text).map(Rate::PerSecond) };
    let Some((last, step)) = rest.split_once('/') else { return Ok(Rate::Ramp(one(first)?, one(rest)?)) };
    let (step, each) = step.split_once('@').ok_or_else(usage)?;
    let each = parse_duration(each)?;
    let rates = stepped(one(first)?, one(last)?, one(step)?);
    if rates.len() > STEPS_MAX || each.is_zero() {
        return Err(format!("steps have a length, and there are at most {STEPS_MAX}"));
    }
    Ok(Rate::Steps { rates, each })
}

const STEPS_MAX: usize = 10_000;

/// The numbers from `first` to `last` by `step`, downwards where `last` is smaller.
pub(crate) fn stepped(first: f64, last: f64, step: f64) -> Vec<f64> {
    let count = crate::number::floor_u64((last - first).abs() / step + 1e-9).min(STEPS_MAX as u64);
    (0..=count).map(|place| first + (last - first).signum() * step * place as f64).collect()
}

/// Bytes with an optional binary unit: `64`, `4k` = 4096, `1M`.
pub(crate) fn parse_size(text: &str) -> Result<usize, String> {
    let usage = || "expected bytes like 64, 4k or 1M (binary units)".to_owned();
    let lower = text.to_ascii_lowercase();
    let lower = lower.trim_end_matches('b').trim_end_matches('i');
    let (digits, unit) = match lower.as_bytes().last().ok_or_else(usage)? {
        b'k' => (&lower[..lower.len() - 1], 1 << 10),
        b'm' => (&lower[..lower.len() - 1], 1 << 20),
        b'g' => (&lower[..lower.len() - 1], 1 << 30),
        _ => (lower, 1),
    };
    digits.parse::<usize>().ok().and_then(|number| number.checked_mul(unit)).ok_or_else(usage)
}

pub(crate) fn parse_cpus(text: &str) -> Result<CpuList, String> {
    let usage = || "expected processors like 1 or 0-3 or 1,3".to_owned();
    let mut cpus = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let first: usize = first.trim().parse().map_err(|_| usage())?;
        let last: usize = last.trim().parse().map_err(|_| usage())?;
        if first > last || last > CPU_NUMBER_MAX {
            return Err(usage());
        }
        cpus.extend(first..=last);
    }
    Ok(CpuList(cpus))
}

/// What the kernel's set of processors holds.
const CPU_NUMBER_MAX: usize = 1023;

pub(crate) fn parse_tag(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// One rate.
pub(crate) fn parse_plain_rate(text: &str) -> Result<f64, String> {
    match parse_rate(text)? {
        Rate::PerSecond(rate) => Ok(rate),
        _ => Err("expected requests per second like 50000, 50k or 1.5M".to_owned()),
    }
}

/// Numbers in their order.
#[derive(Clone, Debug, PartialEq)]
pub struct NumberList(pub Vec<f64>);

/// `10k,20k` or `10k..100k/10k`.
pub(crate) fn parse_list(text: &str) -> Result<NumberList, String> {
    let usage = || "expected numbers like 1,2,4 or 10k..100k/10k".to_owned();
    let one = |text: &str| parse_scaled(text.trim()).filter(|number| *number > 0.0).ok_or_else(usage);
    let Some((first, rest)) = text.split_once("..") else {
        return text.split(',').map(one).collect::<Result<_, _>>().map(NumberList);
    };
    let (last, step) = rest.split_once('/').ok_or_else(usage)?;
    let list = stepped(one(first)?, one(last)?, one(step)?);
    if list.len() > 1000 { Err("at most 1000 points".to_owned()) } else { Ok(NumberList(list)) }
}

/// Lengths: `64`, `64..1024`, `64:80,1024:20`.
pub(crate) fn parse_sizes(text: &str) -> Result<Sizes, String> {
    Sizes::parse(text, parse_size)
}

/// Whole numbers in the same forms.
pub(crate) fn parse_counts(text: &str) -> Result<Sizes, String> {
    Sizes::parse(text, |text| text.trim().parse().map_err(|_| "expected a number".to_owned()))
}

/// Times to live in milliseconds: `60s` or `10m..60m`.
pub(crate) fn parse_ttl(text: &str) -> Result<Sizes, String> {
    Sizes::parse(text, |text| {
        let milliseconds = parse_duration(text)?.as_millis();
        match usize::try_from(milliseconds) {
            Ok(milliseconds @ 1..) => Ok(milliseconds),
            _ => Err("a time to live is at least 1ms".to_owned()),
        }
    })
}

/// `random`, `compressible` (two to one) or `compressible:4`.
pub(crate) fn parse_data(text: &str) -> Result<DataKind, String> {
    let usage = || "expected random, compressible or compressible:RATIO with a ratio from 1 to 64".to_owned();
    match text.split_once(':') {
        None if text == "random" => Ok(DataKind::Random),
        None if text == "compressible" => Ok(DataKind::Compressible(2.0)),
        Some(("compressible", ratio)) => match ratio.parse::<f64>() {
            Ok(ratio) if (1.0..=64.0).contains(&ratio) => Ok(DataKind::Compressible(ratio)),
            _ => Err(usage()),
        },
        _ => Err(usage()),
    }
}

/// Two shares as `KEYS:REQUESTS`, each above 0 and below 1.
pub(crate) fn parse_shares(text: &str) -> Result<(f64, f64), String> {
    let usage = || "expected two shares like 0.2:0.8".to_owned();
    let (keys, requests) = text.split_once(':').ok_or_else(usage)?;
    let share =
        |text: &str| text.parse::<f64>().ok().filter(|share| *share > 0.0 && *share < 1.0).ok_or_else(usage);
    Ok((share(keys)?, share(requests)?))
}

/// `1%` or `0.01` as a share.
pub(crate) fn parse_share(text: &str) -> Result<f64, String> {
    let usage = || "expected a share like 1% or 0.01".to_owned();
    let (digits, unit) = text.strip_suffix('%').map_or((text, 1.0), |digits| (digits, 0.01));
    let share = digits.trim().parse::<f64>().map_err(|_| usage())? * unit;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err(usage()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_data_and_times_to_live_are_read() {
        assert_eq!(parse_share("1%"), Ok(0.01));
        assert_eq!(parse_shares("0.2:0.8"), Ok((0.2, 0.8)));
        assert_eq!(parse_ttl("60s"), Ok(Sizes::Fixed(60_000)));
        assert_eq!(parse_ttl("1m..2m"), Ok(Sizes::Range(60_000, 120_000)));
        assert_eq!(parse_data("compressible:4"), Ok(DataKind::Compressible(4.0)));
        assert_eq!(parse_sizes("64:80,1k:20"), Ok(Sizes::Weighted(vec![(64, 80), (1024, 20)])));
        assert!(parse_share("200%").is_err() && parse_shares("0:1").is_err());
        assert!(
            parse_ttl("0s").is_err() && parse_data("zip").is_err() && parse_data("compressible:0.5").is_err()
        );
    }

    #[test]
    fn times_have_units_and_bare_numbers_are_seconds() {
        assert_eq!(parse_duration("30"), Ok(Duration::from_secs(30)));
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("1.5m"), Ok(Duration::from_secs(90)));
        for wrong in ["", "s", "3x", "-1s", "1e30s", "nan"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn counts_take_decimal_units() {
        assert_eq!(parse_count("123"), Ok(123));
        assert_eq!(parse_count("50k"), Ok(50_000));
        assert_eq!(parse_count("1.5M"), Ok(1_500_000));
        for wrong in ["", "k", "1.5", "-3", "1e300", "inf", "1.0001k"] {
            assert!(parse_count(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_take_binary_units() {
        assert_eq!(parse_size("64"), Ok(64));
        assert_eq!(parse_size("4k"), Ok(4096));
        assert_eq!(parse_size("1MiB"), Ok(1 << 20));
        assert!(parse_size("").is_err());
        assert!(parse_size("99999999999999g").is_err());
    }

    #[test]
    fn rates_are_positive_or_max() {
        assert_eq!(parse_rate("max"), Ok(Rate::Max));
        assert_eq!(parse_rate("50k"), Ok(Rate::PerSecond(50_000.0)));
        assert_eq!(parse_rate("0.5"), Ok(Rate::PerSecond(0.5)));
        assert_eq!(parse_rate("1k..2k"), Ok(Rate::Ramp(1000.0, 2000.0)));
        let each = Duration::from_secs(5);
        assert_eq!(
            parse_rate("1k..2k/500@5s"),
            Ok(Rate::Steps { rates: vec![1000.0, 1500.0, 2000.0], each })
        );
        assert_eq!(parse_rate("2..1/1@5s"), Ok(Rate::Steps { rates: vec![2.0, 1.0], each }));
        for wrong in ["0", "-1", "fast", "", "nan", "1..", "0..5", "1..5/0@5s", "1..5/1", "1..5/1@0s"] {
            assert!(parse_rate(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ratios_and_processors_are_read() {
        assert_eq!(parse_ratio("1:10"), Ok(Ratio { set: 1, get: 10 }));
        assert!(parse_ratio("0:0").is_err());
        assert!(parse_ratio("1").is_err());
        assert_eq!(parse_cpus("1,3-5"), Ok(CpuList(vec![1, 3, 4, 5])));
        assert!(parse_cpus("5-3").is_err());
        assert!(parse_cpus("0-9999999999").is_err());
        assert!(parse_cpus("").is_err());
    }
}
