//! Plots with characters: two by four dots in each braille letter.

use super::curve::steps_of;
use super::percentile::points;
use super::scale::{Scale, Spread, short, short_ns};
use crate::number::{floor_u64, index};
use crate::report::Report;

/// The plots of a run: percentile curve, throughput and p99 per second, and the curve of a sweep.
#[must_use]
pub fn plots(report: &Report) -> String {
    let mut text = String::new();
    if let Some(result) = &report.result {
        let summary = result.all.corrected.as_ref().unwrap_or(&result.all.service);
        let curve = summary.histogram().map(|histogram| points(&histogram)).unwrap_or_default();
        let ends =
            ("p0".to_owned(), curve.last().map_or_else(String::new, |(one_of, _)| percentile(*one_of)));
        text.push_str(&plot("latency by percentile", &curve, (Spread::Log, Spread::Log), short_ns, ends));
    }
    if let Some(series) = &report.series {
        let last_s = series.t_s.last().copied().unwrap_or(0.0);
        let ends = || ("0 s".to_owned(), format!("{last_s:.0} s"));
        let rate: Vec<(f64, f64)> = series
            .t_s
            .iter()
            .zip(&series.ops)
            .map(|(&t_s, &ops)| (t_s, ops as f64 / series.interval_s))
            .collect();
        let both = (Spread::Linear, Spread::Linear);
        text.push_str(&plot("requests per second", &rate, both, short, ends()));
        let p99: Vec<(f64, f64)> = series
            .t_s
            .iter()
            .zip(&series.p99_ns)
            .filter_map(|(&t_s, ns)| Some((t_s, (*ns)? as f64)))
            .collect();
        text.push_str(&plot("p99 per second", &p99, both, short_ns, ends()));
    }
    let steps = steps_of(report);
    let curve: Vec<(f64, f64)> =
        steps.iter().filter_map(|step| Some((step.achieved_ops_s, step.p99_ns?))).collect();
    let most = curve.iter().map(|(x, _)| *x).fold(0.0, f64::max);
    let ends = ("0/s".to_owned(), format!("{}/s", short(most)));
    text.push_str(&plot("p99 against throughput", &curve, (Spread::Linear, Spread::Log), short_ns, ends));
    text
}

fn percentile(one_of: f64) -> String {
    let percent = format!("{:.5}", 100.0 * (1.0 - 1.0 / one_of));
    format!("p{}", percent.trim_end_matches('0').trim_end_matches('.'))
}

/// One plot, or nothing when there are fewer than three points.
fn plot(
    title: &str,
    points: &[(f64, f64)],
    (x_spread, y_spread): (Spread, Spread),
    format: fn(f64) -> String,
    (left, right): (String, String),
) -> String {
    if points.len() < 3 {
        return String::new();
    }
    let x = Scale::over(x_spread, points.iter().map(|point| point.0));
    let y = Scale::over(y_spread, points.iter().map(|point| point.1));
    let mut canvas = Canvas::new();
    let dots: Vec<(f64, f64)> =
        points.iter().filter_map(|point| Some((x.place(point.0)?, y.place(point.1)?))).collect();
    for pair in dots.windows(2) {
        canvas.line(pair[0], pair[1]);
    }
    let high = points.iter().map(|point| point.1).fold(f64::MIN, f64::max);
    let low = points.iter().map(|point| point.1).fold(f64::MAX, f64::min);
    let mut text = format!("{title}\n");
    for (number, row) in canvas.rows().into_iter().enumerate() {
        let label = match number {
            0 => format(high),
            number if number + 1 == ROWS => format(if y_spread == Spread::Linear { 0.0 } else { low }),
            _ => String::new(),
        };
        text.push_str(&format!("{label:>10} |{row}\n"));
    }
    let width = COLUMNS.saturating_sub(left.len());
    text.push_str(&format!("{:>10}  {left}{right:>width$}\n\n", ""));
    text
}

const COLUMNS: usize = 64;
const ROWS: usize = 8;

/// Dots of a plot.
struct Canvas {
    letters: Vec<[u8; COLUMNS]>,
}

impl Canvas {
    fn new() -> Self {
        Self { letters: vec![[0; COLUMNS]; ROWS] }
    }

    /// Places go from 0 to 1.
    fn line(&mut self, from: (f64, f64), to: (f64, f64)) {
        let steps = COLUMNS * 8;
        for step in 0..=steps {
            let share = step as f64 / steps as f64;
            self.dot(from.0 + share * (to.0 - from.0), from.1 + share * (to.1 - from.1));
        }
    }

    fn dot(&mut self, x: f64, y: f64) {
        let (columns, rows) = (COLUMNS * 2 - 1, ROWS * 4 - 1);
        let column = index(floor_u64((x * columns as f64).round())).min(columns);
        let row = rows - index(floor_u64((y * rows as f64).round())).min(rows);
        // Bits of a braille letter, by column and row (Unicode 2800).
        const BITS: [[u8; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];
        self.letters[row / 4][column / 2] |= BITS[column % 2][row % 4];
    }

    fn rows(&self) -> Vec<String> {
        let letter = |bits: &u8| char::from_u32(0x2800 + u32::from(*bits)).unwrap_or(' ');
        let rows = self.letters.iter().map(|row| row.iter().map(letter).collect::<String>());
        rows.map(|row| row.trim_end_matches('\u{2800}').to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rising_line_goes_from_the_lower_left_to_the_upper_right() {
        let points: Vec<(f64, f64)> = (0..10).map(|step| (f64::from(step), f64::from(step))).collect();
        let text =
            plot("x", &points, (Spread::Linear, Spread::Linear), short, ("a".to_owned(), "b".to_owned()));
        let rows: Vec<&str> = text.lines().collect();
        assert_eq!(rows.len(), 1 + ROWS + 1 + 1);
        assert!(
            rows[ROWS].contains("|\u{2840}")
                || rows[ROWS].contains("|\u{28c0}")
                || rows[ROWS].contains("|\u{2860}"),
            "{text}"
        );
        assert!(rows[1].chars().count() > rows[ROWS].chars().count(), "{text}");
        assert!(rows[ROWS + 1].starts_with("            a") && rows[ROWS + 1].ends_with('b'));
    }

    #[test]
    fn few_points_make_no_plot() {
        assert!(
            plot("x", &[(0.0, 1.0), (1.0, 2.0)], (Spread::Linear, Spread::Linear), short, Default::default())
                .is_empty()
        );
    }

    #[test]
    fn a_report_has_its_percentile_curve() {
        let report = crate::export::golden();
        let text = plots(&report);
        assert!(text.contains("latency by percentile") && text.contains("p99.75"), "{text}");
    }
}
