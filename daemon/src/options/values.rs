//! Values of options: how each is written, read and refused.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use clap::ValueEnum;

use shard::eviction::EvictionPolicy;

use crate::server::{ClientClass, OutputLimit, OutputLimits};

/// When a write is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[repr(u8)]
pub enum AppendFsync {
    /// When it is durable: survives a crash of the machine
    Always = 0,
    /// At once; made durable within about a second
    Everysec = 1,
    /// At once; made durable when the system pleases
    No = 2,
}

impl AppendFsync {
    /// The value of this number; the strictest when there is none.
    #[must_use]
    pub(crate) const fn from_number(number: u8) -> Self {
        match number {
            1 => Self::Everysec,
            2 => Self::No,
            _ => Self::Always,
        }
    }
}

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[repr(u8)]
pub enum LogLevel {
    /// Everything, for developers
    Debug = 0,
    /// A lot of rarely useful detail
    Verbose = 1,
    /// What an operator wants to know
    Notice = 2,
    /// Only what needs attention
    Warning = 3,
}

/// Where records live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Storage {
    /// In the store's directory
    Disk,
    /// In memory only: no file at all, everything is gone at the end
    Memory,
}

/// How the log is made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WalSync {
    /// Measure both at start and take the faster
    Auto,
    /// Every write is durable when it completes (O_DSYNC)
    Dsync,
    /// Plain writes, then one fdatasync
    Fdatasync,
}

/// Who may use DEBUG.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DebugCommand {
    /// Nobody
    #[default]
    No,
    /// Connections of the Unix socket and of loopback addresses
    Local,
    /// Everybody who may administer the server
    Yes,
}

/// The word an option's value is written as.
macro_rules! display_as_word {
    ($($kind:ty),*) => {$(
        impl fmt::Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.to_possible_value().map_or(Ok(()), |value| f.write_str(value.get_name()))
            }
        }
    )*};
}
display_as_word!(AppendFsync, DebugCommand, LogLevel, Storage, WalSync);

impl LogLevel {
    /// The level of a number that `as u8` made; the loudest when it is none.
    #[must_use]
    pub const fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Debug,
            1 => Self::Verbose,
            3 => Self::Warning,
            _ => Self::Notice,
        }
    }
}

/// One address of `--bind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BindAddress {
    /// The address.
    pub address: IpAddr,
    /// Written with a leading `-`: no error when the machine does not have it.
    pub optional: bool,
}

impl FromStr for BindAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, optional) = text.strip_prefix('-').map_or((text, false), |rest| (rest, true));
        let address = match address {
            "localhost" => IpAddr::from([127, 0, 0, 1]),
            _ => address.parse().map_err(|_| {
                format!("'{text}' is no IP address: write one like 127.0.0.1 or ::1, with a leading '-' if it may be missing")
            })?,
        };
        Ok(Self { address, optional })
    }
}

impl fmt::Display for BindAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.optional { "-" } else { "" }, self.address)
    }
}

/// Where health and metrics are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminAddress {
    /// A Unix socket.
    Unix(PathBuf),
    /// A TCP address, loopback only.
    Tcp(SocketAddr),
}

impl FromStr for AdminAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("an address is needed: a path with a '/' or address:port".into());
        }
        if text.contains('/') {
            return Ok(Self::Unix(text.into()));
        }
        let text =
            text.strip_prefix("localhost:").map_or_else(|| text.into(), |port| format!("127.0.0.1:{port}"));
        let address: SocketAddr = text.parse().map_err(|_| {
            format!("'{text}' is neither a path with a '/' nor an address like 127.0.0.1:9121")
        })?;
        if !address.ip().is_loopback() {
            return Err(format!(
                "{address} is not a loopback address: the admin address asks for no password"
            ));
        }
        Ok(Self::Tcp(address))
    }
}

impl fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => path.display().fmt(f),
            Self::Tcp(address) => address.fmt(f),
        }
    }
}

/// Bytes, with Redis's units: `1k` is 1000, `1kb` 1024, and so on with m and g; in any case.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return Err(format!("'{text}': the unit must be one of b, k, kb, m, mb, g, gb")),
    };
    let number: u64 =
        number.parse().map_err(|_| format!("'{text}' is no size: write bytes, or a number like 64mb"))?;
    number.checked_mul(factor).ok_or_else(|| format!("'{text}' is more than 64 bits hold"))
}

const DAY_MS: f64 = 86_400_000.0;

/// Days, a fraction too, as milliseconds: 0 to 3650 days.
pub fn parse_days(text: &str) -> Result<u64, String> {
    let days: f64 = text.parse().map_err(|_| format!("'{text}' is no number of days"))?;
    if !(0.0..=3650.0).contains(&days) {
        return Err(format!("'{text}': days are 0 to 3650"));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "within ten years, just seen"
    )]
    let ms = (days * DAY_MS).round() as u64;
    // However short, it is not never.
    Ok(if days > 0.0 { ms.max(1) } else { 0 })
}

/// The way back.
#[must_use]
pub fn format_days(ms: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "at most ten years")]
    let days = ms as f64 / DAY_MS;
    days.to_string()
}

/// An eviction policy by Redis's name.
pub fn parse_policy(text: &str) -> Result<EvictionPolicy, String> {
    text.parse().map_err(|()| {
        let names: Vec<&str> = EvictionPolicy::ALL.iter().map(|policy| policy.name()).collect();
        format!("'{text}' is no policy: write one of {}", names.join(", "))
    })
}

/// CPUs as a list of numbers and ranges: `0,2-3`.
pub fn parse_cpu_list(text: &str) -> Result<Vec<usize>, String> {
    const CPUS_MAX: usize = 4096;
    let wrong = |part: &str| format!("'{part}' is no CPU: write numbers and ranges like 0,2-3");
    let number = |part: &str| part.parse::<usize>().ok().filter(|cpu| *cpu < CPUS_MAX);
    let mut cpus = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = number(first)
            .zip(number(last))
            .filter(|(first, last)| first <= last)
            .ok_or_else(|| wrong(part))?;
        cpus.extend(first..=last);
    }
    let mut sorted = cpus.clone();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(twice) => Err(format!("CPU {} is named twice", twice[0])),
        None => Ok(cpus),
    }
}

/// `<class> <hard> <soft> <seconds>`, once or several times: those that are named change.
///
/// # Errors
/// What is wrong, in Redis's words.
pub fn parse_output_limits(text: &str, mut limits: OutputLimits) -> Result<OutputLimits, String> {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    if !words.len().is_multiple_of(4) {
        return Err("Wrong number of arguments in buffer limit configuration.".into());
    }
    for four in words.chunks_exact(4) {
        let class = ClientClass::from_name(four[0])
            .ok_or("Invalid client class specified in buffer limit configuration.")?;
        let sizes = parse_size(four[1]).ok().zip(parse_size(four[2]).ok()).zip(four[3].parse().ok());
        let Some(((hard_bytes, soft_bytes), soft_seconds)) = sizes else {
            return Err("Error in hard, soft or soft_seconds setting in buffer limit configuration.".into());
        };
        limits.0[class as usize] = OutputLimit { hard_bytes, soft_bytes, soft_seconds };
    }
    Ok(limits)
}

/// All of them in writing.
#[must_use]
pub fn format_output_limits(limits: &OutputLimits) -> String {
    let one = |class: ClientClass| {
        let limit = limits.of(class);
        format!("{} {} {} {}", class.name(), limit.hard_bytes, limit.soft_bytes, limit.soft_seconds)
    };
    ClientClass::ALL.map(one).join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read_and_written() {
        for (text, ms) in
            [("7", 604_800_000), ("0", 0), ("0.5", 43_200_000), ("0.000001", 86), ("3650", 315_360_000_000)]
        {
            assert_eq!(parse_days(text), Ok(ms), "{text}");
            assert_eq!(parse_days(&format_days(ms)), Ok(ms), "{text}");
        }
        assert_eq!((format_days(604_800_000).as_str(), parse_days("1e-12")), ("7", Ok(1)));
        for text in ["", "x", "-1", "3651", "NaN", "inf"] {
            assert!(parse_days(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_have_the_units_of_redis() {
        for (text, bytes) in [
            ("0", 0),
            ("17", 17),
            ("17b", 17),
            ("1k", 1000),
            ("1kb", 1024),
            ("2M", 2_000_000),
            ("64mb", 64 << 20),
            ("1g", 1_000_000_000),
            ("1GB", 1 << 30),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "mb", "-1", "1 kb", "1tb", "1.5gb", "99999999999gb", "18446744073709551616"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn cpu_lists_are_numbers_and_ranges() {
        assert_eq!(parse_cpu_list("0,2-3"), Ok(vec![0, 2, 3]));
        assert_eq!(parse_cpu_list("5,1"), Ok(vec![5, 1]));
        for text in ["", "a", "3-1", "1-", "0,0", "1-3,2", "99999", "0-99999999999"] {
            assert!(parse_cpu_list(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_bind_address_may_be_optional() {
        let parsed: BindAddress = "-::1".parse().unwrap();
        assert!(parsed.optional && parsed.address.is_loopback());
        assert!(!"127.0.0.1".parse::<BindAddress>().unwrap().optional);
        assert!("example.org".parse::<BindAddress>().is_err());
    }

    #[test]
    fn an_admin_address_is_a_path_or_loopback() {
        assert_eq!("./a.sock".parse(), Ok(AdminAddress::Unix("./a.sock".into())));
        assert!(matches!("localhost:9121".parse(), Ok(AdminAddress::Tcp(_))));
        assert!("0.0.0.0:9121".parse::<AdminAddress>().unwrap_err().contains("loopback"));
        assert!("9121".parse::<AdminAddress>().is_err() && "".parse::<AdminAddress>().is_err());
    }

    #[test]
    fn output_limits_are_read_as_they_are_written() {
        let read = |text: &str| parse_output_limits(text, OutputLimits::default());
        let limits = read("normal 64mb 16mb 30 replica 1 2 3").unwrap();
        let written = "normal 67108864 16777216 30 slave 1 2 3 pubsub 33554432 8388608 60";
        assert_eq!(format_output_limits(&limits), written);
        assert_eq!(read(written), Ok(limits));
        assert_eq!(read(""), Ok(OutputLimits::default()));
        for (text, why) in [
            ("normal 1 1", "Wrong number"),
            ("master 1 1 1", "Invalid client class"),
            ("pubsub a 1 1", "Error in hard"),
            ("pubsub 1 1 -1", "Error in hard"),
        ] {
            assert!(read(text).unwrap_err().starts_with(why), "{text}");
        }
    }

    #[test]
    fn words_are_those_of_redis() {
        let words =
            [AppendFsync::Always, AppendFsync::Everysec, AppendFsync::No].map(|word| word.to_string());
        assert_eq!(words, ["always", "everysec", "no"]);
        assert_eq!(LogLevel::from_number(LogLevel::Warning as u8), LogLevel::Warning);
    }
}
