//! A HdrHistogram log, as HistogramLogAnalyzer and HistogramLogProcessor read it: a line for each histogram, with its
//! operation and kind as tag. Values are nanoseconds, the column of the maximum is in milliseconds.

use std::fmt::Write as _;

use super::histograms;
use crate::report::Report;

/// The log.
#[must_use]
pub fn hlog(report: &Report) -> String {
    let mut text = format!(
        "#[loadgen {} run {}]\n#[Histogram log format version 1.3]\n#[BaseTime: 0.000 (seconds since epoch)]\n\
         #[StartTime: 0.000 (seconds since epoch), {}]\n\
         \"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n",
        report.tool.version, report.run_id, report.started_at
    );
    let elapsed_s = report.result.as_ref().map_or(0.0, |result| result.elapsed_s);
    for (operation, kind, summary) in histograms(report) {
        let max_ms = summary.max.unwrap_or(0) as f64 / 1e6;
        let histogram = &summary.hdr_v2_deflate_b64;
        // Writing to a string cannot fail.
        let _ = writeln!(text, "Tag={operation}.{kind},0.000,{elapsed_s:.3},{max_ms:.3},{histogram}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::golden;
    use base64::Engine as _;
    use hdrhistogram::Histogram;
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    #[test]
    fn the_log_reads_back_with_the_reader_of_the_format() {
        let report = golden();
        let text = hlog(&report);
        let mut tags = Vec::new();
        for entry in IntervalLogIterator::new(text.as_bytes()) {
            let LogEntry::Interval(interval) = entry.expect("every line is of the format") else { continue };
            let bytes =
                base64::engine::general_purpose::STANDARD.decode(interval.encoded_histogram()).unwrap();
            let histogram: Histogram<u64> = Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
            tags.push((interval.tag().unwrap().as_str().to_owned(), histogram.len()));
        }
        assert_eq!(tags.len(), 7);
        assert!(
            tags.contains(&("GET.response".to_owned(), 1988))
                && tags.contains(&("all.slip".to_owned(), 4000))
        );
    }
}
