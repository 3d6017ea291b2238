//! From cells to an SVG that looks the same everywhere: lines and blocks are drawn as shapes, and
//! text is stretched to its columns, whatever the font.

use std::fmt::Write as _;
use std::time::Duration;

use super::ansi::{Cell, Color, Screen, Style};

/// A screen, and how long it is shown.
pub struct Frame {
    pub screen: Screen,
    pub time: Duration,
}

/// The frames one after the other, again and again. Whoever wants no motion sees the third.
pub fn animation(frames: &[Frame], title: &str, description: &str) -> String {
    let Some(first) = frames.first() else {
        return String::new();
    };
    let width = first.screen.width() * CELL.0 + 2 * PADDING;
    let height = first.screen.rows().len() * CELL.1 + 2 * PADDING + BAR;
    let total: Duration = frames.iter().map(|frame| frame.time).sum();
    let mut svg = String::new();
    let mut out = |text: std::fmt::Arguments<'_>| {
        // Writing to a string does not fail.
        let _ = svg.write_fmt(text);
    };
    out(format_args!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"{description}\">\n\
         <title>{title}</title>\n<style>\n\
         text {{ font: {FONT_SIZE}px {FONTS}; white-space: pre; }}\n\
         .b {{ font-weight: 700; }}\n"
    ));
    let mut start = Duration::ZERO;
    for (index, frame) in frames.iter().enumerate() {
        let percent = |time: Duration| 100.0 * time.as_secs_f64() / total.as_secs_f64();
        let (from, to) = (percent(start), percent(start + frame.time));
        start += frame.time;
        let before = if index == 0 { "" } else { "0% { opacity: 0 } " };
        let after = if to < 99.999 {
            format!("{to:.2}% {{ opacity: 0 }}")
        } else {
            String::new()
        };
        out(format_args!(
            "@keyframes f{index} {{ {before}{from:.2}% {{ opacity: 1 }} {after} }}\n\
             .f{index} {{ opacity: {}; animation: f{index} {:.2}s step-end infinite; }}\n",
            u8::from(index == STILL),
            total.as_secs_f64(),
        ));
    }
    out(format_args!(
        "@media (prefers-reduced-motion: reduce) {{ g {{ animation: none !important; }} }}\n\
         </style>\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"10\" fill=\"{BACKGROUND}\"/>\n\
         <g fill=\"{BAR_DOT}\"><circle cx=\"22\" cy=\"20\" r=\"6\"/>\
         <circle cx=\"42\" cy=\"20\" r=\"6\"/><circle cx=\"62\" cy=\"20\" r=\"6\"/></g>\n\
         <text x=\"{}\" y=\"25\" text-anchor=\"middle\" fill=\"{DIM}\">{title}</text>\n",
        width / 2,
    ));
    for (index, frame) in frames.iter().enumerate() {
        out(format_args!("<g class=\"f{index}\">\n"));
        for (y, row) in frame.screen.rows().enumerate() {
            let top = BAR + PADDING + y * CELL.1;
            let mut x = 0;
            while let Some(cell) = row.get(x) {
                let same = |other: &&Cell| joins(cell, other);
                let len = row[x..].iter().take_while(same).count().max(1);
                let run = Run {
                    left: PADDING + x * CELL.0,
                    top,
                    cells: &row[x..x + len],
                };
                out(format_args!("{}", run.draw()));
                x += len;
            }
        }
        out(format_args!("</g>\n"));
    }
    out(format_args!("</svg>\n"));
    svg
}

/// Cells that are drawn together: text of one style, or one shape again and again.
struct Run<'a> {
    left: usize,
    top: usize,
    cells: &'a [Cell],
}

/// Whether `next` is drawn together with `first`.
fn joins(first: &Cell, next: &Cell) -> bool {
    let same_kind = if is_shape(first.symbol) || is_shape(next.symbol) {
        first.symbol == next.symbol
    } else {
        true
    };
    first.style == next.style && same_kind
}

fn is_shape(symbol: char) -> bool {
    "█▀▄─│╭╮╰╯●○▶".contains(symbol)
}

impl Run<'_> {
    fn draw(&self) -> String {
        let Some(first) = self.cells.first() else {
            return String::new();
        };
        let (foreground, background) = colors(first.style);
        let mut svg = String::new();
        if let Some(background) = background {
            svg += &self.rect(0, CELL.1, &background);
        }
        let Self { left, top, .. } = *self;
        let width = self.cells.len() * CELL.0;
        let (right, bottom) = (left + CELL.0, top + CELL.1);
        let (x, y) = (left + CELL.0 / 2, top + CELL.1 / 2);
        let line = |path: String| {
            format!(
                "<path d=\"{path}\" fill=\"none\" stroke=\"{foreground}\" stroke-width=\"1.3\"/>\n"
            )
        };
        svg += &match first.symbol {
            '█' => self.rect(0, CELL.1, &foreground),
            '▀' => self.rect(0, CELL.1 / 2, &foreground),
            '▄' => self.rect(CELL.1 / 2, CELL.1 / 2, &foreground),
            '─' => line(format!("M{left} {y}h{width}")),
            '│' => line(format!("M{x} {top}V{bottom}")),
            '╭' => line(format!("M{x} {bottom}Q{x} {y} {right} {y}")),
            '╮' => line(format!("M{left} {y}Q{x} {y} {x} {bottom}")),
            '╰' => line(format!("M{x} {top}Q{x} {y} {right} {y}")),
            '╯' => line(format!("M{left} {y}Q{x} {y} {x} {top}")),
            '●' => format!("<circle cx=\"{x}\" cy=\"{y}\" r=\"4\" fill=\"{foreground}\"/>\n"),
            '○' => format!(
                "<circle cx=\"{x}\" cy=\"{y}\" r=\"3.5\" fill=\"none\" stroke=\"{foreground}\"/>\n"
            ),
            '▶' => format!(
                "<path d=\"M{left} {}L{right} {y}L{left} {}z\" fill=\"{foreground}\"/>\n",
                y - 4,
                y + 4
            ),
            _ => self.text(&foreground),
        };
        svg
    }

    fn rect(&self, from: usize, height: usize, fill: &str) -> String {
        format!(
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{height}\" fill=\"{fill}\" \
             shape-rendering=\"crispEdges\"/>\n",
            self.left,
            self.top + from,
            self.cells.len() * CELL.0,
        )
    }

    fn text(&self, fill: &str) -> String {
        let text: String = self.cells.iter().map(|cell| cell.symbol).collect();
        let blanks = text.chars().take_while(|symbol| *symbol == ' ').count();
        let text = text.trim();
        if text.is_empty() {
            return String::new();
        }
        let bold = self.cells.first().is_some_and(|cell| cell.style.bold);
        format!(
            "<text x=\"{}\" y=\"{}\" textLength=\"{}\" lengthAdjust=\"spacingAndGlyphs\" \
             fill=\"{fill}\"{}>{}</text>\n",
            self.left + blanks * CELL.0,
            self.top + BASELINE,
            text.chars().count() * CELL.0,
            if bold { " class=\"b\"" } else { "" },
            escaped(text),
        )
    }
}

/// Foreground, and background where it is not the screen's.
fn colors(style: Style) -> (String, Option<String>) {
    let foreground = match style.foreground {
        None if style.dim => DIM.to_owned(),
        None => FOREGROUND.to_owned(),
        Some(color) => hex(color),
    };
    let background = style.background.map(hex);
    if style.reversed {
        let background = background.unwrap_or_else(|| BACKGROUND.to_owned());
        (background, Some(foreground))
    } else {
        (foreground, background)
    }
}

fn hex(color: Color) -> String {
    let (red, green, blue) = match color {
        Color::Rgb(red, green, blue) => (red, green, blue),
        Color::Indexed(index @ 0..=15) => return PALETTE[usize::from(index)].to_owned(),
        Color::Indexed(index @ 16..=231) => {
            let level = |step: u8| if step == 0 { 0 } else { 55 + step * 40 };
            let index = index - 16;
            (level(index / 36), level(index / 6 % 6), level(index % 6))
        }
        Color::Indexed(index) => {
            let gray = 8 + (index - 232) * 10;
            (gray, gray, gray)
        }
    };
    format!("#{red:02x}{green:02x}{blue:02x}")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Width and height of a cell; the width is even, so that shapes have a middle.
const CELL: (usize, usize) = (10, 20);
const BASELINE: usize = 15;
const PADDING: usize = 14;
/// Height of the bar above the screen.
const BAR: usize = 32;
const FONT_SIZE: usize = 16;
const FONTS: &str = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', \
     'Liberation Mono', monospace";
const BACKGROUND: &str = "#0d1117";
const FOREGROUND: &str = "#e6edf3";
const DIM: &str = "#8b949e";
const BAR_DOT: &str = "#30363d";
/// The frame for those who want no motion: the light is on.
const STILL: usize = 2;
const PALETTE: [&str; 16] = [
    "#0d1117", "#ff7b72", "#3fb950", "#d29922", "#58a6ff", "#bc8cff", "#39c5cf", "#b1bac4", DIM,
    "#ffa198", "#56d364", "#e3b341", "#79c0ff", "#d2a8ff", "#56d4dd", "#ffffff",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(text: &str) -> Frame {
        Frame {
            screen: Screen::parse(text, (6, 2)),
            time: Duration::from_secs(1),
        }
    }

    #[test]
    fn text_of_one_style_is_one_element_as_wide_as_its_cells() {
        let svg = animation(&[frame(" a <b")], "t", "d");
        assert!(svg.contains("textLength=\"40\""), "{svg}");
        assert!(svg.contains(">a &lt;b</text>"), "{svg}");
    }

    #[test]
    fn blocks_are_shapes_and_the_palette_is_known() {
        let svg = animation(&[frame("\x1b[38;5;220m███\x1b[0m│")], "t", "d");
        assert!(
            svg.contains("width=\"30\" height=\"20\" fill=\"#ffd700\""),
            "{svg}"
        );
        assert!(!svg.contains('█') && !svg.contains('│'), "{svg}");
        assert_eq!(hex(Color::Indexed(244)), "#808080");
    }

    #[test]
    fn each_frame_has_its_share_of_the_time() {
        let svg = animation(&[frame("a"), frame("b")], "t", "d");
        assert!(
            svg.contains("@keyframes f1 { 0% { opacity: 0 } 50.00% { opacity: 1 }  }"),
            "{svg}"
        );
        assert!(
            svg.contains("animation: f0 2.00s step-end infinite"),
            "{svg}"
        );
    }
}
