//! From what `tmux capture-pane -e` prints to cells.

/// A terminal's screen.
pub struct Screen {
    width: usize,
    /// Row by row.
    cells: Vec<Cell>,
}

/// A character and how it looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    pub symbol: char,
    pub style: Style,
}

/// What SGR sequences set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Style {
    pub foreground: Option<Color>,
    pub background: Option<Color>,
    pub bold: bool,
    pub dim: bool,
    pub reversed: bool,
}

/// A colour of the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    /// Of the palette of 256.
    Indexed(u8),
    Rgb(u8, u8, u8),
}

impl Screen {
    /// Reads lines with SGR sequences into a screen of `size` columns and rows.
    pub fn parse(text: &str, size: (usize, usize)) -> Self {
        let (width, height) = size;
        let empty = Cell {
            symbol: ' ',
            style: Style::default(),
        };
        let mut cells = vec![empty; width * height];
        let mut style = Style::default();
        for (line, row) in text.lines().zip(cells.chunks_mut(width)) {
            let mut places = row.iter_mut();
            let mut rest = line;
            while let Some(symbol) = rest.chars().next() {
                rest = &rest[symbol.len_utf8()..];
                if symbol == '\x1b' {
                    rest = style.read(rest);
                } else if let Some(place) = places.next() {
                    *place = Cell { symbol, style };
                }
            }
        }
        Self { width, cells }
    }

    pub fn width(&self) -> usize {
        self.width
    }

    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[Cell]> {
        self.cells.chunks(self.width)
    }

    pub fn text(&self) -> String {
        let mut text = String::new();
        for row in self.rows() {
            text.extend(row.iter().map(|cell| cell.symbol));
            text.push('\n');
        }
        text
    }

    /// Whether anything is shown reversed.
    pub fn has_reversed(&self) -> bool {
        self.cells.iter().any(|cell| cell.style.reversed)
    }
}

impl Style {
    /// Takes over what the sequence behind an ESC says; returns what follows it.
    fn read<'a>(&mut self, text: &'a str) -> &'a str {
        let Some(text) = text.strip_prefix('[') else {
            // A character set is chosen: two more characters.
            return text.get(2..).unwrap_or("");
        };
        let Some(end) = text.find(|symbol: char| symbol.is_ascii_alphabetic()) else {
            return "";
        };
        if text[end..].starts_with('m') {
            let numbers: Vec<u8> = text[..end]
                .split(';')
                .map(|number| number.parse().unwrap_or(0))
                .collect();
            self.apply(&numbers);
        }
        &text[end + 1..]
    }

    fn apply(&mut self, mut numbers: &[u8]) {
        while let Some((&number, rest)) = numbers.split_first() {
            numbers = rest;
            match number {
                0 => *self = Self::default(),
                1 => self.bold = true,
                2 => self.dim = true,
                7 => self.reversed = true,
                22 => (self.bold, self.dim) = (false, false),
                27 => self.reversed = false,
                30..=37 => self.foreground = Some(Color::Indexed(number - 30)),
                38 => self.foreground = color(&mut numbers),
                39 => self.foreground = None,
                40..=47 => self.background = Some(Color::Indexed(number - 40)),
                48 => self.background = color(&mut numbers),
                49 => self.background = None,
                90..=97 => self.foreground = Some(Color::Indexed(number - 90 + 8)),
                100..=107 => self.background = Some(Color::Indexed(number - 100 + 8)),
                _ => {}
            }
        }
    }
}

/// The colour behind 38 or 48.
fn color(numbers: &mut &[u8]) -> Option<Color> {
    match **numbers {
        [5, index, ref rest @ ..] => {
            *numbers = rest;
            Some(Color::Indexed(index))
        }
        [2, red, green, blue, ref rest @ ..] => {
            *numbers = rest;
            Some(Color::Rgb(red, green, blue))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn styles_hold_until_they_are_taken_back() {
        let screen = Screen::parse("a\x1b[1;38;5;220mb\x1b[0mc\n\x1b[7md\x1b[27me", (4, 3));
        let styles: Vec<_> = screen.cells.iter().map(|cell| cell.style).collect();
        assert_eq!(styles[0], Style::default());
        assert_eq!(styles[1].foreground, Some(Color::Indexed(220)));
        assert!(styles[1].bold);
        assert_eq!(styles[2], Style::default());
        assert!(styles[4].reversed && !styles[5].reversed);
        assert_eq!(screen.text(), "abc \nde  \n    \n");
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        let screen = Screen::parse("abcdef\n\x1b[\x1b", (3, 1));
        assert_eq!(screen.text(), "abc\n");
    }
}
