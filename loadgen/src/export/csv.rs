//! Comma-separated tables: percentiles of every histogram, and the run second by second. What there is no figure for is
//! empty.

use std::fmt::Display;

use super::{histograms, percentiles};
use crate::report::Report;

/// A line for each histogram.
#[must_use]
pub fn percentile_table(report: &Report) -> String {
    let mut text = "operation,kind,count,min_ns,mean_ns,stdev_ns,p50_ns,p75_ns,p90_ns,p95_ns,p99_ns,p99_9_ns,p99_99_ns,p99_999_ns,max_ns\n".to_owned();
    for (operation, kind, summary) in histograms(report) {
        let mut fields =
            vec![operation.to_owned(), kind.to_owned(), summary.count.to_string(), cell(summary.min)];
        fields.extend([rounded(summary.mean), rounded(summary.stdev)]);
        fields.extend(percentiles(summary).map(|(_, value)| cell(value)));
        fields.push(cell(summary.max));
        text.push_str(&fields.join(","));
        text.push('\n');
    }
    text
}

/// A line for each interval.
#[must_use]
pub fn series_table(report: &Report) -> String {
    let mut text =
        "t_s,ops,errors,p50_ns,p99_ns,max_ns,slip_p99_ns,server_cpu_pct,client_cpu_pct,rss_bytes\n"
            .to_owned();
    let Some(series) = &report.series else { return text };
    for (place, t_s) in series.t_s.iter().enumerate() {
        let fields = [
            t_s.to_string(),
            cell(series.ops.get(place).copied()),
            cell(series.errors.get(place).copied()),
            cell(series.p50_ns.get(place).copied().flatten()),
            cell(series.p99_ns.get(place).copied().flatten()),
            cell(series.max_ns.get(place).copied().flatten()),
            cell(series.slip_p99_ns.get(place).copied().flatten()),
            rounded(series.server_cpu_pct.get(place).copied().flatten()),
            rounded(series.client_cpu_pct.get(place).copied().flatten()),
            cell(series.rss_bytes.get(place).copied().flatten()),
        ];
        text.push_str(&fields.join(","));
        text.push('\n');
    }
    text
}

fn cell(value: Option<impl Display>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

fn rounded(value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| format!("{value:.1}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::golden;

    fn check(text: &str, lines: usize) {
        let columns: Vec<usize> = text.lines().map(|line| line.split(',').count()).collect();
        assert_eq!(columns.len(), lines, "{text}");
        assert!(columns.iter().all(|count| *count == columns[0]), "{text}");
    }

    #[test]
    fn tables_have_a_line_for_each_histogram_and_second() {
        let report = golden();
        check(&percentile_table(&report), 1 + 7);
        check(&series_table(&report), 1 + 2);
        let first = percentile_table(&report).lines().nth(1).unwrap().to_owned();
        assert!(first.starts_with("GET,response,1988,49376,586327.6,"), "{first}");
        // Too few samples for p99.9: empty, not 0.
        assert!(first.contains("5738495,,,,9478143"), "{first}");
    }

    #[test]
    fn a_report_without_figures_has_only_heads() {
        let mut report = golden();
        (report.result, report.series) = (None, None);
        check(&percentile_table(&report), 1);
        check(&series_table(&report), 1);
    }
}
