//! For tests: a strict reader of the Prometheus text format, written from its description and not from the writer.
//! It panics at the first thing that a Prometheus server would refuse or misread.

use std::collections::{HashMap, HashSet};

/// What a text says.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    kinds: HashMap<String, String>,
    samples: HashMap<String, String>,
}

impl Parsed {
    pub(super) fn parse(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line ends too");
        let (mut parsed, mut helped, mut open) = (Self::default(), HashSet::new(), String::new());
        for line in text.lines() {
            assert!(!line.is_empty(), "an empty line is of no use");
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').expect("name and help");
                assert!(helped.insert(name.to_owned()), "second HELP of {name}");
                check_escapes(help, "\\n");
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("name and type");
                assert!(matches!(kind, "counter" | "gauge" | "histogram"), "{line}");
                assert!(parsed.kinds.insert(name.into(), kind.into()).is_none(), "second TYPE of {name}");
                name.clone_into(&mut open);
            } else {
                let name = parsed.sample(line);
                let family =
                    ["_bucket", "_sum", "_count"].iter().filter(|_| parsed.kinds[&open] == "histogram");
                let belongs =
                    name == open || family.into_iter().any(|suffix| name == format!("{open}{suffix}"));
                assert!(belongs, "{name} stands under {open}");
            }
        }
        parsed.check_histograms();
        parsed
    }

    pub(super) fn value(&self, sample: &str) -> Option<&str> {
        self.samples.get(sample).map(String::as_str)
    }

    pub(super) fn kind(&self, family: &str) -> Option<&str> {
        self.kinds.get(family).map(String::as_str)
    }

    /// Takes a sample in; gives its name.
    fn sample(&mut self, line: &str) -> String {
        let (series, value) = line.rsplit_once(' ').expect("a value");
        value.parse::<f64>().unwrap_or_else(|_| panic!("{line}: no number"));
        let (name, labels) = match series.split_once('{') {
            Some((name, rest)) => (name, rest.strip_suffix('}').expect("labels are closed")),
            None => (series, ""),
        };
        assert!(is_name(name, true), "{line}");
        check_labels(labels);
        assert!(self.samples.insert(series.into(), value.into()).is_none(), "second {series}");
        name.to_owned()
    }

    fn check_histograms(&self) {
        for (family, _) in self.kinds.iter().filter(|(_, kind)| *kind == "histogram") {
            let mut last: HashMap<String, (f64, f64)> = HashMap::new();
            let prefix = format!("{family}_bucket{{");
            let mut buckets: Vec<(String, f64, f64)> = Vec::new();
            for (series, value) in &self.samples {
                let Some(labels) = series.strip_prefix(&prefix) else { continue };
                let (others, upper) = labels.rsplit_once("le=\"").expect("a bucket has le");
                let upper = upper.strip_suffix("\"}").expect("le is last here");
                let upper = if upper == "+Inf" { f64::INFINITY } else { upper.parse().unwrap() };
                buckets.push((others.trim_end_matches(',').into(), upper, value.parse().unwrap()));
            }
            buckets.sort_by(|a, b| a.1.total_cmp(&b.1));
            for (labels, upper, count) in buckets {
                let before = last.insert(labels.clone(), (upper, count));
                assert!(
                    before.is_none_or(|before| before.1 <= count),
                    "{family}{{{labels}}} falls at {upper}"
                );
            }
            for (labels, (upper, count)) in last {
                assert!(upper.is_infinite(), "{family}{{{labels}}} has no +Inf");
                let total = self.value(&format!("{family}_count{{{labels}}}")).expect("a count");
                assert!((total.parse::<f64>().unwrap() - count).abs() < 0.5, "{family}{{{labels}}}");
                assert!(self.value(&format!("{family}_sum{{{labels}}}")).is_some());
            }
        }
    }
}

fn is_name(name: &str, colon: bool) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_' || (colon && c == ':');
    name.starts_with(first) && name.chars().all(|c| first(c) || c.is_ascii_digit())
}

fn check_labels(mut labels: &str) {
    let mut names = HashSet::new();
    while !labels.is_empty() {
        let (name, rest) = labels.split_once("=\"").expect("name=\"value\"");
        assert!(is_name(name, false) && names.insert(name), "label {name}");
        let mut escaped = false;
        let end = rest.find(|c| {
            let closes = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            closes
        });
        let end = end.expect("the value is closed");
        check_escapes(&rest[..end], "\\n\"");
        labels = &rest[end + 1..];
        labels = labels.strip_prefix(',').unwrap_or(labels);
    }
}

fn check_escapes(text: &str, allowed: &str) {
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        assert!(c != '\\' || chars.next().is_some_and(|next| allowed.contains(next)), "{text}");
    }
}

#[test]
fn the_reader_refuses_what_prometheus_would() {
    let good = "# HELP a_b Help.\n# TYPE a_b counter\na_b{x=\"1,\\\"}\"} 5\na_b 1.5e3\n";
    assert_eq!(Parsed::parse(good).value("a_b"), Some("1.5e3"));
    for bad in [
        "# TYPE a counter\na 1",
        "# TYPE a counter\nb 1\n",
        "# TYPE a counter\na x\n",
        "# TYPE a counter\na 1\na 2\n",
        "# TYPE a counter\na{x=\"1} 2\n",
        "# TYPE a counter\na{x=\"1\",x=\"2\"} 2\n",
        "# TYPE a counter\n# TYPE b counter\na 1\n",
        "# TYPE a histogram\na_bucket{le=\"1\"} 2\na_bucket{le=\"+Inf\"} 1\na_count{} 1\na_sum{} 1\n",
    ] {
        assert!(std::panic::catch_unwind(|| Parsed::parse(bad)).is_err(), "{bad}");
    }
}
