//! The light, as large as there is room for.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::view::Look;

/// Draws the lamp in the middle of `area`: a disc when it is on, a ring when it is off.
///
/// A cell is about twice as high as wide, so with half blocks it has two square dots.
pub(super) fn draw(on: bool, look: Look, area: Rect, buffer: &mut Buffer) {
    let diameter = area.width.min(area.height * 2);
    // Even, so that the ring closes symmetrically.
    let diameter = diameter & !1;
    let (width, height) = (diameter, diameter / 2);
    let (left, top) = (
        area.x + (area.width - width) / 2,
        area.y + (area.height - height) / 2,
    );
    let style = if on { look.light() } else { look.dim() };
    // A smaller ring would have no room for its word.
    let height = if on || diameter >= 12 { height } else { 0 };
    for y in 0..height {
        for x in 0..width {
            let upper = dot(on, x, y * 2, diameter);
            let lower = dot(on, x, y * 2 + 1, diameter);
            let symbol = match (upper, lower) {
                (false, false) => continue,
                _ if !look.unicode => {
                    if on {
                        "#"
                    } else {
                        "."
                    }
                }
                (true, true) => "█",
                (true, false) => "▀",
                (false, true) => "▄",
            };
            buffer[(left + x, top + y)]
                .set_symbol(symbol)
                .set_style(style);
        }
    }
    label(on, look, area, buffer);
}

/// Whether the dot at `x`, `y` belongs to the disc, or to the ring.
fn dot(on: bool, x: u16, y: u16, diameter: u16) -> bool {
    // In half dots, from the centre of the circle to the centre of the dot.
    let distance = |at: u16| i32::from(at) * 2 + 1 - i32::from(diameter);
    let square = distance(x).pow(2) + distance(y).pow(2);
    let outer = i32::from(diameter).pow(2);
    let inner = (i32::from(diameter) - 3).max(0).pow(2);
    square <= outer && (on || square >= inner)
}

fn label(on: bool, look: Look, area: Rect, buffer: &mut Buffer) {
    let (text, style) = if on {
        (" ON ", look.on_light())
    } else {
        ("OFF", Style::new())
    };
    let width = text.len() as u16;
    if area.width < width || area.height == 0 {
        return;
    }
    let x = area.x + (area.width - width) / 2;
    let y = area.y + (area.height - 1) / 2;
    buffer.set_string(x, y, text, style);
}
