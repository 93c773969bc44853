//! Charts as SVG, to stand inside of a page whose style gives the colours (`c0`, `c1`, ... for series), so that one
//! drawing is right in light and in dark.

use std::fmt::Write as _;

use super::scale::{Scale, Spread};

/// One chart.
#[derive(Clone, Debug)]
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// The axis below.
    pub x: Axis,
    /// The axis at the left.
    pub y: Axis,
    /// What is drawn, in this order.
    pub series: Vec<Series>,
}

/// An axis.
#[derive(Clone, Debug)]
pub struct Axis {
    /// What it means, with the unit.
    pub label: String,
    /// How figures are spread.
    pub spread: Spread,
    /// How a figure is written.
    pub format: fn(f64) -> String,
    /// Ticks with their texts, where round figures would not do.
    pub ticks: Option<Vec<(f64, String)>>,
}

/// Points that belong together.
#[derive(Clone, Debug)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// Points; a missing one is a gap.
    pub points: Vec<Point>,
    /// How it is drawn.
    pub style: Style,
    /// Number of its colour.
    pub colour: usize,
}

/// A point.
#[derive(Clone, Debug)]
pub struct Point {
    /// Along the axis below.
    pub x: f64,
    /// Along the axis at the left.
    pub y: Option<f64>,
    /// Drawn hollow: a figure that cannot be trusted.
    pub hollow: bool,
    /// Said when the pointer rests on it.
    pub note: Option<String>,
}

impl Point {
    /// A plain point.
    #[must_use]
    pub const fn new(x: f64, y: Option<f64>) -> Self {
        Self { x, y, hollow: false, note: None }
    }
}

/// How a series is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// A line.
    Line,
    /// A dashed line.
    Dashed,
    /// A line through marked points.
    Marked,
    /// Points only.
    Points,
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 74.0;
const RIGHT: f64 = 34.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 46.0;
/// Names that fit into one row below the axis.
const NAMES_MAX: usize = 5;
/// Colours that the page's style has.
pub const COLOURS: usize = 6;

impl Chart {
    /// The chart with title and legend.
    #[must_use]
    pub fn figure(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let x = self.x.scale(points().filter(|point| point.y.is_some()).map(|point| point.x));
        let y = self.y.scale(points().filter_map(|point| point.y));
        write!(text, "<figure><figcaption>{}", escape(&self.title))?;
        write!(text, "<span class=legend>")?;
        for series in self.series.iter().filter(|series| !series.name.is_empty()) {
            let class = if series.style == Style::Dashed { "key dashed" } else { "key" };
            let class = if series.style == Style::Points { "key point" } else { class };
            let colour = series.colour % COLOURS;
            write!(text, "<span><i class=\"{class} b{colour}\"></i>{}</span>", escape(&series.name))?;
        }
        write!(text, "</span></figcaption>")?;
        write!(
            text,
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=img aria-label=\"{}\">",
            escape(&self.title)
        )?;
        self.write_axes(text, &x, &y)?;
        for series in &self.series {
            series.write(text, &x, &y)?;
        }
        writeln!(text, "</svg></figure>")
    }

    fn write_axes(&self, text: &mut String, x: &Scale, y: &Scale) -> std::fmt::Result {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for (tick, label) in self.y.ticks_of(y, 6) {
            let Some(at) = y.place(tick).map(y_of) else { continue };
            write!(text, "<path class=grid d=\"M{LEFT} {at:.1}H{right}\"/>")?;
            write!(
                text,
                "<text class=tick x={:.1} y={:.1} text-anchor=end>{}</text>",
                LEFT - 7.0,
                at + 4.0,
                escape(&label)
            )?;
        }
        let ticks = self.x.ticks_of(x, 8);
        // Many names stand in two rows, or they would run into each other.
        let is_crowded = self.x.ticks.is_some() && self.x.label.is_empty() && ticks.len() > NAMES_MAX;
        for (number, (tick, label)) in ticks.into_iter().enumerate() {
            let Some(at) = x.place(tick).map(x_of) else { continue };
            let row = if is_crowded && number % 2 == 1 { 15.0 } else { 0.0 };
            write!(text, "<path class=grid d=\"M{at:.1} {TOP}V{bottom}\"/>")?;
            write!(
                text,
                "<text class=tick x={at:.1} y={:.1} text-anchor=middle>{}</text>",
                bottom + 17.0 + row,
                escape(&label)
            )?;
        }
        write!(text, "<path class=axis d=\"M{LEFT} {TOP}V{bottom}H{right}\"/>")?;
        let middle = f64::midpoint(LEFT, right);
        write!(
            text,
            "<text class=label x={middle:.1} y={:.1} text-anchor=middle>{}</text>",
            HEIGHT - 8.0,
            escape(&self.x.label)
        )?;
        let middle = f64::midpoint(TOP, bottom);
        write!(
            text,
            "<text class=label transform=\"translate(14 {middle:.1}) rotate(-90)\" text-anchor=middle>{}</text>",
            escape(&self.y.label)
        )
    }
}

impl Axis {
    fn scale(&self, figures: impl Iterator<Item = f64>) -> Scale {
        match &self.ticks {
            Some(ticks) if self.spread == Spread::Linear => {
                let high = ticks.len().max(1) as f64 - 0.5;
                Scale::between(Spread::Linear, -0.5, high)
            }
            Some(ticks) => {
                let figures: Vec<f64> = figures.collect();
                let high = figures.iter().copied().fold(1.0, f64::max);
                let end = ticks.iter().map(|(tick, _)| *tick).find(|tick| *tick >= high).unwrap_or(high);
                Scale::between(Spread::Log, ticks.first().map_or(1.0, |(tick, _)| *tick), end)
            }
            None => Scale::over(self.spread, figures),
        }
    }

    fn ticks_of(&self, scale: &Scale, count: usize) -> Vec<(f64, String)> {
        match &self.ticks {
            Some(ticks) => {
                let inside = |tick: f64| scale.place(tick * 0.999).is_none_or(|place| place < 0.9999);
                ticks.iter().filter(|(tick, _)| inside(*tick)).cloned().collect()
            }
            None => scale.ticks(count).into_iter().map(|tick| (tick, (self.format)(tick))).collect(),
        }
    }
}

impl Series {
    fn write(&self, text: &mut String, x: &Scale, y: &Scale) -> std::fmt::Result {
        let colour = self.colour % COLOURS;
        let placed = |point: &Point| Some((x_of(x.place(point.x)?), y_of(y.place(point.y?)?)));
        if self.style != Style::Points {
            let mut path = String::new();
            let mut is_drawing = false;
            for point in &self.points {
                let Some((at_x, at_y)) = placed(point) else {
                    is_drawing = false;
                    continue;
                };
                write!(path, "{}{at_x:.1} {at_y:.1}", if is_drawing { "L" } else { "M" })?;
                is_drawing = true;
            }
            let dashes = if self.style == Style::Dashed { " dashed" } else { "" };
            write!(text, "<path class=\"line c{colour}{dashes}\" d=\"{path}\"/>")?;
        }
        let is_short = self.points.len() <= 1;
        if matches!(self.style, Style::Marked | Style::Points) || is_short {
            for point in &self.points {
                let Some((at_x, at_y)) = placed(point) else { continue };
                let class = if point.hollow { "hollow" } else { "dot" };
                write!(text, "<circle class=\"{class} c{colour}\" cx={at_x:.1} cy={at_y:.1} r=4>")?;
                if let Some(note) = &point.note {
                    write!(text, "<title>{}</title>", escape(note))?;
                }
                write!(text, "</circle>")?;
            }
        }
        Ok(())
    }
}

fn x_of(place: f64) -> f64 {
    LEFT + place * (WIDTH - LEFT - RIGHT)
}

fn y_of(place: f64) -> f64 {
    HEIGHT - BOTTOM - place * (HEIGHT - TOP - BOTTOM)
}

/// Text that may stand in HTML, also within quotes.
#[must_use]
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::scale::short;

    fn chart(points: Vec<Point>) -> String {
        let axis = |label: &str| Axis {
            label: label.to_owned(),
            spread: Spread::Linear,
            format: short,
            ticks: None,
        };
        let series = Series { name: "a & b".to_owned(), points, style: Style::Marked, colour: 7 };
        Chart { title: "<x>".to_owned(), x: axis("t"), y: axis("n"), series: vec![series] }.figure()
    }

    #[test]
    fn gaps_break_the_line_and_nothing_is_not_a_number() {
        let points = [Some(1.0), None, Some(2.0), Some(3.0)];
        let points = points.into_iter().enumerate().map(|(place, y)| Point::new(place as f64, y)).collect();
        let text = chart(points);
        let line = text.split("class=\"line c1\" d=\"").nth(1).unwrap().split('"').next().unwrap();
        assert_eq!((line.matches('M').count(), line.matches('L').count()), (2, 1), "{line}");
        assert!(!text.contains("NaN") && !text.contains("inf"));
        assert!(text.contains("a &amp; b") && text.contains("&lt;x&gt;"));
    }

    #[test]
    fn an_empty_chart_is_still_a_chart() {
        assert!(chart(Vec::new()).contains("</svg>"));
    }
}
