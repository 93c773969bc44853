//! fio: what the drive gives to random reads of the same bytes, to hold our own against.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::limits::{LOAD_TIME_MAX, POLL_INTERVAL};
use crate::process::Process;

/// A random-read run.
#[derive(Clone, Debug)]
pub struct FioRead {
    /// The files, read only.
    pub files: Vec<PathBuf>,
    /// Bytes of a read.
    pub block_bytes: usize,
    /// Reads in flight.
    pub depth: u32,
    /// How long.
    pub seconds: u32,
    /// The core it may use.
    pub cpu: usize,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct FioFigures {
    /// Reads per second.
    pub iops: f64,
    /// 99th percentile of the time of a read, in microseconds.
    pub p99_us: f64,
    /// Its command line, folders left out.
    pub command: Vec<String>,
}

impl FioRead {
    fn args(&self) -> Vec<String> {
        // Files are separated by colons, so one in a name is escaped.
        let name = |path: &PathBuf| path.display().to_string().replace(':', "\\:");
        let files: Vec<String> = self.files.iter().map(name).collect();
        vec![
            "--name=read".to_owned(),
            format!("--filename={}", files.join(":")),
            "--readonly".to_owned(),
            "--rw=randread".to_owned(),
            "--direct=1".to_owned(),
            "--ioengine=io_uring".to_owned(),
            format!("--bs={}", self.block_bytes),
            format!("--iodepth={}", self.depth),
            format!("--runtime={}", self.seconds),
            "--time_based".to_owned(),
            "--file_service_type=random".to_owned(),
            "--output-format=json".to_owned(),
        ]
    }

    /// Runs fio. Files of its own go to `scratch`.
    ///
    /// # Errors
    /// When it is not there, fails, or answers something else.
    pub fn run(&self, scratch: &Path) -> Result<FioFigures> {
        let out = scratch.join("fio.json");
        let mut args = self.args();
        args.push(format!("--output={}", out.display()));
        let mut process =
            Process::start(Command::new("fio").args(&args), &[self.cpu], &scratch.join("fio.log"))
                .context("fio does not start; it is in the package `fio`")?;
        let started = std::time::Instant::now();
        let status = loop {
            if let Some(status) = process.ended()? {
                break status;
            }
            if started.elapsed() > LOAD_TIME_MAX {
                bail!("fio does not end");
            }
            std::thread::sleep(POLL_INTERVAL);
        };
        if !status.success() {
            bail!("fio fails: {}", std::fs::read_to_string(scratch.join("fio.log")).unwrap_or_default());
        }
        let (iops, p99_us) = parse(&std::fs::read_to_string(&out)?)?;
        let command = std::iter::once("fio".to_owned()).chain(self.args().into_iter().map(|word| {
            if word.starts_with("--filename=") { "--filename=<the data files>".to_owned() } else { word }
        }));
        Ok(FioFigures { iops, p99_us, command: command.collect() })
    }
}

fn parse(text: &str) -> Result<(f64, f64)> {
    // Warnings may stand before it.
    let start = text.find('{').context("fio wrote no JSON")?;
    let report: Value = serde_json::from_str(&text[start..]).context("fio's report")?;
    let read = &report["jobs"][0]["read"];
    let iops = read["iops"].as_f64().context("fio's report has no IOPS")?;
    let p99_ns = read["clat_ns"]["percentile"]["99.000000"].as_f64().unwrap_or(0.0);
    Ok((iops, p99_ns / 1e3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fios_report_is_read_behind_its_warnings() {
        let text = "note: x\n{\"jobs\": [{\"read\": {\"iops\": 5.5, \"clat_ns\": {\"percentile\": {\"99.000000\": 2000}}}}]}";
        assert_eq!(parse(text).unwrap(), (5.5, 2.0));
        assert!(parse("nothing").is_err());
    }
}
