//! Comparisons as text for a terminal and as Markdown.

use std::fmt::Write as _;

use super::result::{Comparison, MetricResult, Verdict};

/// For the terminal.
#[must_use]
pub fn describe(comparisons: &[Comparison], alpha: f64) -> String {
    let mut text = String::new();
    for comparison in comparisons {
        // Writing to a string cannot fail.
        let _ = write_text(&mut text, comparison, alpha);
    }
    text
}

/// For a pull request or a README.
#[must_use]
pub fn markdown(comparisons: &[Comparison], alpha: f64) -> String {
    let mut text = String::new();
    for comparison in comparisons {
        // Writing to a string cannot fail.
        let _ = write_markdown(&mut text, comparison, alpha);
    }
    text
}

/// `+3.1 %`.
#[must_use]
pub fn percent(ratio: f64) -> String {
    format!("{:+.1} %", 100.0 * (ratio - 1.0))
}

/// `+1.0 % to +5.2 %`.
#[must_use]
pub fn interval(result: &MetricResult) -> String {
    match (result.ratio_low, result.ratio_high) {
        (Some(low), Some(high)) => format!("{} to {}", percent(low), percent(high)),
        _ => "-".to_owned(),
    }
}

/// The word, with what must be added to it.
#[must_use]
pub fn word(result: &MetricResult) -> String {
    if result.at_least {
        format!("{} (at least)", result.verdict.word())
    } else {
        result.verdict.word().to_owned()
    }
}

/// How the comparison was made.
#[must_use]
pub fn method(comparison: &Comparison, alpha: f64) -> String {
    let primary = match comparison.primary {
        Some(primary) if comparison.metrics.len() > 1 => format!(", {} first", primary.title()),
        _ => String::new(),
    };
    format!(
        "{} and {} runs, {}, Holm-corrected over {} figures{primary} at {alpha}; intervals of {} %",
        comparison.baseline_runs,
        comparison.candidate_runs,
        comparison.test.title(),
        comparison.metrics.len(),
        100.0 * (1.0 - alpha)
    )
}

/// `p` with as many digits as it needs.
#[must_use]
pub fn show_p(p: f64) -> String {
    if p < 0.001 { format!("{p:.1e}") } else { format!("{p:.3}") }
}

fn heading(comparison: &Comparison) -> String {
    let pair = format!("{} against {}", comparison.candidate, comparison.baseline);
    comparison.title.as_ref().map_or(pair.clone(), |title| format!("{title}: {pair}"))
}

fn write_text(text: &mut String, comparison: &Comparison, alpha: f64) -> std::fmt::Result {
    writeln!(text, "{}", heading(comparison))?;
    for refusal in &comparison.refusals {
        writeln!(text, "  REFUSED  {refusal}")?;
    }
    for note in &comparison.notes {
        writeln!(text, "  note     {note}")?;
    }
    if !comparison.refusals.is_empty() {
        return writeln!(text);
    }
    writeln!(text, "  {}", method(comparison, alpha))?;
    writeln!(
        text,
        "  {:<24}{:>12}{:>12}{:>10}  {:<22}{:>9}{:>10}  verdict",
        "figure", "before", "after", "change", "interval", "p", "threshold"
    )?;
    for result in &comparison.metrics {
        writeln!(
            text,
            "  {:<24}{:>12}{:>12}{:>10}  {:<22}{:>9}{:>10}  {}",
            result.metric.title(),
            result.metric.show(result.baseline_median),
            result.metric.show(result.candidate_median),
            percent(result.ratio),
            interval(result),
            show_p(result.p_corrected),
            format!("{:.1} %", 100.0 * result.threshold),
            word(result)
        )?;
        let is_clear = matches!(result.verdict, Verdict::Faster | Verdict::Slower | Verdict::Same);
        for reason in result.reasons.iter().filter(|_| !is_clear || result.at_least) {
            writeln!(text, "    {reason}")?;
        }
    }
    writeln!(text)
}

fn write_markdown(text: &mut String, comparison: &Comparison, alpha: f64) -> std::fmt::Result {
    writeln!(text, "### {}\n", heading(comparison))?;
    for refusal in &comparison.refusals {
        writeln!(text, "- **refused**: {refusal}")?;
    }
    for note in &comparison.notes {
        writeln!(text, "- note: {note}")?;
    }
    if !comparison.refusals.is_empty() {
        return writeln!(text);
    }
    writeln!(
        text,
        "| figure | {} | {} | change | interval | p | verdict |",
        comparison.baseline, comparison.candidate
    )?;
    writeln!(text, "|---|---:|---:|---:|---|---:|---|")?;
    for result in &comparison.metrics {
        let strong = if matches!(result.verdict, Verdict::Faster | Verdict::Slower) { "**" } else { "" };
        writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {strong}{}{strong} |",
            result.metric.title(),
            result.metric.show(result.baseline_median),
            result.metric.show(result.candidate_median),
            percent(result.ratio),
            interval(result),
            show_p(result.p_corrected),
            word(result)
        )?;
    }
    writeln!(text, "\n{}.", method(comparison, alpha))?;
    for result in &comparison.metrics {
        for reason in &result.reasons {
            writeln!(text, "- {}: {reason}", result.metric.title())?;
        }
    }
    writeln!(text)
}
