//! Small pictures of how figures grow.

use std::fmt::Write as _;

use super::growth::Panel;
use super::peer::Kind;
use super::rows::{Row, Unit};

/// A picture with a panel for each thing that grows; both axes are logarithmic.
pub fn draw(row: Row, panels: &[Panel]) -> String {
    let figure = match row {
        Row::Subscriptions => row.figures()[2],
        _ => row.figures()[0],
    };
    let width = (MARGIN + panels.len() * (PANEL + MARGIN)).max(LONGEST_TITLE);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{HEIGHT}\" \
         viewBox=\"0 0 {width} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"{width}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n\
         <text x=\"{MARGIN}\" y=\"18\" font-size=\"13\" fill=\"#222222\">{} ({})</text>\n",
        figure.title,
        unit(figure.unit)
    );
    let shown = Kind::ALL
        .into_iter()
        .filter(|kind| panels.iter().any(|panel| panel.has(*kind)));
    for (index, kind) in shown.enumerate() {
        let x = MARGIN + index * 90;
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"28\" width=\"10\" height=\"3\" fill=\"{}\"/>\
             <text x=\"{}\" y=\"34\" fill=\"#444444\">{}</text>",
            color(kind),
            x + 14,
            kind.name()
        );
    }
    let values = || {
        panels
            .iter()
            .flat_map(Panel::points)
            .map(|(_, value)| value)
    };
    let (low, high) = decades(values());
    for (index, panel) in panels.iter().enumerate() {
        let left = (MARGIN + index * (PANEL + MARGIN)) as f64;
        let (from, to) = decades(panel.points().map(|(count, _)| count));
        let x = |count: f64| left + (count.log10() - from) / (to - from) * PANEL as f64;
        let y = |value: f64| BOTTOM - (value.log10() - low) / (high - low) * (BOTTOM - TOP);
        for decade in low as i32..=high as i32 {
            let (value, at) = (10f64.powi(decade), y(10f64.powi(decade)));
            let _ = writeln!(
                svg,
                "<path d=\"M{left} {at:.1}h{PANEL}\" stroke=\"#dddddd\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#666666\">{}</text>",
                left - 4.0,
                at + 4.0,
                short(value)
            );
        }
        for decade in from as i32..=to as i32 {
            let value = 10f64.powi(decade);
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#666666\">{}</text>",
                x(value),
                BOTTOM + 14.0,
                short(value)
            );
        }
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#444444\">{}</text>",
            left + PANEL as f64 / 2.0,
            BOTTOM + 30.0,
            panel.title
        );
        for (kind, points) in &panel.lines {
            let path: Vec<_> = points
                .iter()
                .filter(|(count, value)| *count > 0.0 && *value > 0.0)
                .map(|&(count, value)| format!("{:.1},{:.1}", x(count), y(value)))
                .collect();
            let _ = writeln!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\"/>",
                path.join(" "),
                color(*kind)
            );
        }
    }
    svg.push_str("</svg>\n");
    svg
}

impl Panel {
    fn has(&self, kind: Kind) -> bool {
        self.lines
            .iter()
            .any(|(one, points)| *one == kind && !points.is_empty())
    }

    fn points(&self) -> impl Iterator<Item = (f64, f64)> {
        self.lines.iter().flat_map(|(_, points)| points).copied()
    }
}

/// The powers of ten around some values, one apart at least.
fn decades(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let logs = values.filter(|value| *value > 0.0).map(f64::log10);
    let (low, high) = logs.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), log| {
        (low.min(log), high.max(log))
    });
    if low > high {
        return (0.0, 1.0);
    }
    (low.floor(), high.ceil().max(low.floor() + 1.0))
}

fn short(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{}M", value / 1e6),
        value if value >= 1e3 => format!("{}k", value / 1e3),
        value => format!("{value}"),
    }
}

const fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::PerSecond => "in a second",
        Unit::Micros => "µs",
        Unit::Seconds => "s",
        Unit::Bytes => "bytes",
    }
}

const fn color(kind: Kind) -> &'static str {
    match kind {
        Kind::Mosquitto => "#3c5280",
        Kind::Declic => "#d9480f",
        Kind::Rumqttd => "#5c940d",
        Kind::Floor => "#adb5bd",
    }
}

const MARGIN: usize = 52;
const PANEL: usize = 190;
const HEIGHT: usize = 230;
const LONGEST_TITLE: usize = 640;
const TOP: f64 = 48.0;
const BOTTOM: f64 = 186.0;
