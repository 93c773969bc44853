//! Throughput against latency as text: x linear, y logarithmic, two curves of letters.

use std::fmt::Write as _;

use crate::latency::format_ns;
use crate::number::{floor_u64, index};
use crate::progress::group_digits;

/// One point: requests per second, and the two latencies in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CurvePoint {
    /// Requests per second.
    pub ops_s: f64,
    /// Drawn as `o`.
    pub p50_ns: Option<u64>,
    /// Drawn as `*`.
    pub p99_ns: Option<u64>,
}

const WIDTH: usize = 64;
const HEIGHT: usize = 16;
const LABEL: usize = 10;

/// The plot, with axes; a line of words when there is nothing to draw.
#[must_use]
pub fn draw(points: &[CurvePoint]) -> String {
    let latencies: Vec<f64> = points
        .iter()
        .flat_map(|point| [point.p50_ns, point.p99_ns])
        .flatten()
        .map(|ns| ns.max(1) as f64)
        .collect();
    let x_max = points.iter().map(|point| point.ops_s).fold(0.0, f64::max);
    if latencies.is_empty() || x_max <= 0.0 {
        return "nothing to draw: no point has a latency\n".to_owned();
    }
    let low = latencies.iter().copied().fold(f64::INFINITY, f64::min).ln();
    let high = latencies.iter().copied().fold(0.0, f64::max).ln();
    let span = (high - low).max(0.1);
    let mut grid = vec![[' '; WIDTH]; HEIGHT];
    for (is_median, letter) in [(true, 'o'), (false, '*')] {
        for point in points {
            let Some(latency_ns) = (if is_median { point.p50_ns } else { point.p99_ns }) else { continue };
            let column = place(point.ops_s / x_max, WIDTH);
            let row = place((((latency_ns.max(1)) as f64).ln() - low) / span, HEIGHT);
            grid[HEIGHT - 1 - row][column] = letter;
        }
    }
    let mut text = String::new();
    for (line, cells) in grid.iter().enumerate() {
        let is_labelled = line % 5 == 0 || line == HEIGHT - 1;
        let share = (HEIGHT - 1 - line) as f64 / (HEIGHT - 1) as f64;
        let label = if is_labelled {
            format_ns(Some(floor_u64((low + share * span).exp().round())))
        } else {
            String::new()
        };
        let row: String = cells.iter().collect();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{label:>LABEL$} |{}", row.trim_end());
    }
    let _ = writeln!(text, "{:>LABEL$} +{}", "", "-".repeat(WIDTH));
    let right = format!("{} op/s", group_digits(floor_u64(x_max.round())));
    let _ = writeln!(text, "{:>LABEL$}  0{right:>width$}", "", width = WIDTH - 1);
    let _ = writeln!(text, "{:>LABEL$}  o p50   * p99", "");
    text
}

fn place(share: f64, cells: usize) -> usize {
    index(floor_u64((share.clamp(0.0, 1.0) * (cells - 1) as f64).round()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_lie_where_their_figures_say() {
        let point = |ops_s, p50_ns, p99_ns| CurvePoint { ops_s, p50_ns: Some(p50_ns), p99_ns: Some(p99_ns) };
        let text = draw(&[point(500.0, 1_000, 10_000), point(1000.0, 2_000, 1_000_000)]);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("   1.00 ms |") && lines[0].ends_with('*'), "{text}");
        assert_eq!(lines[0].chars().count(), LABEL + 2 + WIDTH, "the fastest point lies at the right border");
        assert!(lines[HEIGHT - 1].starts_with("   1.00 us |") && lines[HEIGHT - 1].ends_with('o'), "{text}");
        let middle = lines[HEIGHT - 1].chars().count() - (LABEL + 2);
        assert!((32..=33).contains(&middle), "half of the rate, half of the width: {middle}");
        assert!(text.contains("1,000 op/s"), "{text}");
    }

    #[test]
    fn nothing_and_one_point_are_drawn_without_fuss() {
        assert!(draw(&[]).contains("nothing to draw"));
        assert!(draw(&[CurvePoint { ops_s: 5.0, p50_ns: Some(7), p99_ns: None }]).contains('o'));
    }
}
