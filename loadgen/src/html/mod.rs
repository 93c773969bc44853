//! Reports as single pages: style and drawings are inside, no script, nothing is fetched, so that a page opens offline
//! and in a hundred years.

pub mod compare;
pub mod matrix;
pub mod run;
pub mod runs;

use crate::audit_command;
use crate::document::Document;
use crate::plot::svg::escape;

/// The page of any report.
#[must_use]
pub fn page_of(document: &Document) -> String {
    match document {
        Document::Run(report) => run::page(report),
        Document::Matrix(report) => matrix::page(report),
        Document::Compare(report) => compare::page(report),
        Document::Audit(report) => {
            page("audit", &format!("<h1>Audit</h1><pre>{}</pre>", escape(&audit_command::describe(report))))
        }
        Document::Agreement(report) => {
            page("agreement", &format!("<h1>Agreement</h1><pre>{}</pre>", escape(&report.describe())))
        }
        Document::Selftest(report) => {
            page("self-test", &format!("<h1>Self-test</h1><pre>{}</pre>", escape(&report.describe())))
        }
        Document::Noise(report) => {
            page("noise floor", &format!("<h1>Noise floor</h1><pre>{}</pre>", escape(&report.describe())))
        }
    }
}

/// A whole page.
#[must_use]
pub fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n\
         <meta name=viewport content=\"width=device-width, initial-scale=1\">\n\
         <meta name=color-scheme content=\"light dark\">\n<title>{}</title>\n<style>{STYLE}</style>\n</head>\n\
         <body>\n<main>\n{body}\n</main>\n</body>\n</html>\n",
        escape(title)
    )
}

/// A table; heads stand as the cells below them do.
#[must_use]
pub fn table(heads: &[&str], rows: &[Vec<Cell>]) -> String {
    let mut text = "<div class=wide><table><thead><tr>".to_owned();
    for (place, head) in heads.iter().enumerate() {
        let class = rows.first().and_then(|row| row.get(place)).map_or("", |cell| cell.class);
        text.push_str(&format!("<th class=\"{class}\">{}</th>", escape(head)));
    }
    text.push_str("</tr></thead><tbody>");
    for row in rows {
        text.push_str("<tr>");
        for cell in row {
            // What stands on a second line is smaller.
            let shown = match cell.text.split_once('\n') {
                Some((first, second)) => format!("{}<small>{}</small>", escape(first), escape(second)),
                None => escape(&cell.text),
            };
            text.push_str(&format!("<td class=\"{}\">{shown}</td>", cell.class));
        }
        text.push_str("</tr>");
    }
    text.push_str("</tbody></table></div>\n");
    text
}

/// A cell of a table.
#[derive(Clone, Debug)]
pub struct Cell {
    /// What stands in it.
    pub text: String,
    /// How it looks: `text`, `number`, or the word of a verdict.
    pub class: &'static str,
}

/// A cell with words.
#[must_use]
pub fn words(text: impl Into<String>) -> Cell {
    Cell { text: text.into(), class: "text" }
}

/// A cell with a figure.
#[must_use]
pub fn number(text: impl Into<String>) -> Cell {
    Cell { text: text.into(), class: "number" }
}

/// Names with their values, where there are values.
#[must_use]
pub fn facts(facts: &[(&str, Option<String>)]) -> String {
    let mut text = "<dl>".to_owned();
    for (name, value) in facts {
        if let Some(value) = value.as_ref().filter(|value| !value.is_empty()) {
            text.push_str(&format!("<div><dt>{}</dt><dd>{}</dd></div>", escape(name), escape(value)));
        }
    }
    text.push_str("</dl>\n");
    text
}

/// Sentences as a list; nothing when there are none.
#[must_use]
pub fn list(class: &str, sentences: &[String]) -> String {
    if sentences.is_empty() {
        return String::new();
    }
    let items: String = sentences.iter().map(|sentence| format!("<li>{}</li>", escape(sentence))).collect();
    format!("<ul class=\"{class}\">{items}</ul>\n")
}

/// Colours are chosen apart for light and dark; series colours differ in lightness too, for those who see few hues.
const STYLE: &str = "
:root{--bg:#fff;--fg:#1b1f24;--soft:#5c6670;--line:#d8dee4;--panel:#f6f8fa;
--c0:#0b62c4;--c1:#c2410c;--c2:#117a3d;--c3:#8b3fb8;--c4:#94690a;--c5:#c01f5d;
--good:#0f6b35;--bad:#b42318;--mild:#5c6670;--warn:#8a5a00}
@media(prefers-color-scheme:dark){:root{--bg:#12161b;--fg:#e4e8ec;--soft:#9aa4ae;--line:#333b44;--panel:#1a2027;
--c0:#6fb1ff;--c1:#ff9d6b;--c2:#63d18e;--c3:#cf9df2;--c4:#e0bb5c;--c5:#ff8fb8;
--good:#63d18e;--bad:#ff8a80;--mild:#9aa4ae;--warn:#e8b94e}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--fg);font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}
main{max-width:1120px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:26px;line-height:1.25;margin:0 0 6px}h2{font-size:19px;margin:36px 0 10px;padding-top:14px;border-top:1px solid var(--line)}
h3{font-size:16px;margin:22px 0 8px}
p{margin:6px 0 12px}.soft{color:var(--soft)}
dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(230px,1fr));gap:10px 18px;margin:12px 0;padding:14px 16px;background:var(--panel);border-radius:8px}
dt{color:var(--soft);font-size:12.5px}dd{margin:0;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
.wide{overflow-x:auto;margin:10px 0}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:14px}
th{text-align:right;font-weight:600;color:var(--soft);font-size:12.5px;border-bottom:2px solid var(--line);padding:6px 10px;white-space:nowrap}
th.text{text-align:left}td{padding:6px 10px;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
td.text{text-align:left;white-space:normal;min-width:9em}td.text:first-child{min-width:15em}td.faster{color:var(--good);font-weight:600}td.slower{color:var(--bad);font-weight:600}
td.same,td.inconclusive{color:var(--mild)}td.invalid{color:var(--warn);white-space:normal}td small{display:block;font-size:12px}
ul.bad{color:var(--bad)}ul.warn{color:var(--warn)}ul{padding-left:22px;margin:8px 0}
.ok{color:var(--good);font-weight:600}
figure{margin:18px 0;padding:12px 12px 6px;background:var(--panel);border-radius:8px}
figcaption{display:flex;flex-wrap:wrap;justify-content:space-between;gap:4px 18px;font-weight:600;font-size:14px;margin-bottom:4px}
.legend{display:flex;flex-wrap:wrap;gap:4px 14px;font-weight:400;color:var(--soft)}
.key{display:inline-block;width:18px;height:0;border-top:3px solid;margin-right:6px;vertical-align:middle}.key.dashed{border-top-style:dashed}.key.point{width:9px;height:9px;border-width:2px;border-style:solid;border-radius:50%}
.b0{border-color:var(--c0)}.b1{border-color:var(--c1)}.b2{border-color:var(--c2)}.b3{border-color:var(--c3)}.b4{border-color:var(--c4)}.b5{border-color:var(--c5)}
svg{display:block;width:100%;height:auto}
svg text{fill:var(--soft);font:12px system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}svg .label{fill:var(--fg)}
svg .grid{stroke:var(--line);fill:none}svg .axis{stroke:var(--soft);fill:none}
svg .line{fill:none;stroke-width:2;stroke-linejoin:round}svg .dashed{stroke-dasharray:5 4}
svg .c0{stroke:var(--c0)}svg .c1{stroke:var(--c1)}svg .c2{stroke:var(--c2)}svg .c3{stroke:var(--c3)}svg .c4{stroke:var(--c4)}svg .c5{stroke:var(--c5)}
svg circle{stroke-width:2}svg circle.dot{fill-opacity:.55}svg circle.hollow{fill:var(--panel)}
svg .dot.c0{fill:var(--c0)}svg .dot.c1{fill:var(--c1)}svg .dot.c2{fill:var(--c2)}svg .dot.c3{fill:var(--c3)}svg .dot.c4{fill:var(--c4)}svg .dot.c5{fill:var(--c5)}
details{margin:10px 0}summary{cursor:pointer;color:var(--soft)}
pre{overflow-x:auto;background:var(--panel);padding:12px;border-radius:8px;font-size:13px}
@media print{:root{--panel:#fff}main{max-width:none}figure{break-inside:avoid}}
";
