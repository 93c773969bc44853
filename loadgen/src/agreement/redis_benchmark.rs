//! A run of redis-benchmark, and what its CSV says.

use std::path::Path;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use super::VALUE_BYTES;
use super::args::AgreementArgs;
use crate::matrix::server::on_processors;
use crate::matrix::spec::cpus_of;

/// The figures that both clients give of one run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Requests per second.
    pub ops_s: f64,
    /// Median latency from send to reply.
    pub p50_ms: f64,
    /// Its 99th percentile.
    pub p99_ms: f64,
}

/// Runs it once.
///
/// # Errors
/// A sentence for the user.
pub fn run(arguments: &AgreementArgs, socket: &Path) -> Result<Figures, String> {
    let test = if arguments.set { "set" } else { "get" };
    let cpus = cpus_of(arguments.client_cpus.as_deref())?;
    let output = on_processors(&cpus, || {
        Command::new("redis-benchmark")
            .arg("-s")
            .arg(socket)
            .args(["-c", &arguments.connections.to_string(), "-P", &arguments.pipeline.to_string()])
            .args(["-n", &arguments.requests.to_string(), "-r", &arguments.keys.to_string()])
            .args(["-d", &VALUE_BYTES.to_string(), "-t", test, "--csv"])
            .stdin(Stdio::null())
            .output()
    })
    .map_err(|error| format!("redis-benchmark does not start: {error}"))?;
    if !output.status.success() {
        return Err(format!("redis-benchmark failed: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    parse(&String::from_utf8_lossy(&output.stdout))
}

/// Reads the columns by their names: other versions have others.
fn parse(csv: &str) -> Result<Figures, String> {
    let mut lines = csv.lines().map(fields);
    let (names, values) = lines.next().zip(lines.next()).ok_or("redis-benchmark printed no figures")?;
    let figure = |name: &str| {
        let place = names.iter().position(|known| known == name);
        place
            .and_then(|place| values.get(place))
            .and_then(|text| text.parse::<f64>().ok())
            .filter(|value| *value > 0.0)
            .ok_or_else(|| format!("redis-benchmark printed no {name}"))
    };
    Ok(Figures {
        ops_s: figure("rps")?,
        p50_ms: figure("p50_latency_ms")?,
        p99_ms: figure("p99_latency_ms")?,
    })
}

fn fields(line: &str) -> Vec<String> {
    line.split(',').map(|field| field.trim_matches('"').to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_by_the_names_of_their_columns() {
        let csv = "\"test\",\"rps\",\"avg_latency_ms\",\"p50_latency_ms\",\"p99_latency_ms\"\n\
                   \"GET\",\"123456.78\",\"0.200\",\"0.199\",\"0.311\"\n";
        let want = Figures { ops_s: 123_456.78, p50_ms: 0.199, p99_ms: 0.311 };
        assert_eq!(parse(csv), Ok(want));
        assert!(parse("").unwrap_err().contains("no figures"));
        assert!(parse("\"test\",\"rps\"\n\"GET\",\"1\"\n").unwrap_err().contains("p50_latency_ms"));
    }
}
