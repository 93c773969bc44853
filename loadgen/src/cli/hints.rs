//! Hints for options whose letter means something else in another tool.

use std::net::IpAddr;

/// Hints for options whose letter means something else in another tool.
#[must_use]
pub fn hints(arguments: &[String]) -> Vec<String> {
    let mut hints = Vec::new();
    let value_of = |letter: &str| {
        let position = arguments.iter().position(|argument| argument == letter)?;
        arguments.get(position + 1).cloned()
    };
    if let Some(value) = value_of("-d").filter(|value| value.bytes().all(|byte| byte.is_ascii_digit())) {
        hints.push(format!(
            "-d {value} is a duration of {value} seconds here (write -d {value}s); the size of values is --value-size"
        ));
    }
    if let Some(value) = value_of("-r").filter(|value| value.bytes().all(|byte| byte.is_ascii_digit())) {
        hints.push(format!(
            "-r {value} is a rate of {value} requests per second here; the number of keys is --keys"
        ));
    }
    if let Some(value) =
        value_of("-h").filter(|value| value.parse::<IpAddr>().is_err() && value.starts_with('-'))
    {
        hints.push(format!("-h {value}: -h is the host here; help is --help"));
    }
    hints
}
