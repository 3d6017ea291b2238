//! Colours and characters, as the terminal has them.

use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::border;

/// What the terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::commands::up) struct Look {
    pub(in crate::commands::up) color: bool,
    /// Whether the terminal has 256 colours.
    pub(in crate::commands::up) many_colors: bool,
    /// Whether lines and blocks can be drawn; else ASCII.
    pub(in crate::commands::up) unicode: bool,
}

impl Look {
    /// What the environment says of the terminal.
    pub(in crate::commands::up) fn of_terminal(color: bool) -> Self {
        let variable = |name| std::env::var(name).unwrap_or_default();
        let term = variable("TERM");
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
            .into_iter()
            .map(variable)
            .find(|value| !value.is_empty())
            .unwrap_or_default()
            .to_ascii_lowercase();
        // The Linux console's font has few characters.
        let unicode = (locale.contains("utf-8") || locale.contains("utf8")) && term != "linux";
        Self {
            color,
            many_colors: term.contains("256color") || !variable("COLORTERM").is_empty(),
            unicode: unicode || cfg!(windows),
        }
    }

    /// Of the lamp that is on.
    pub(in crate::commands::up) const fn light(self) -> Style {
        match self.light_color() {
            Some(color) => Style::new().fg(color),
            None => Style::new(),
        }
    }

    /// Of text on the lamp that is on.
    pub(in crate::commands::up) const fn on_light(self) -> Style {
        let style = match self.light_color() {
            Some(color) => Style::new().fg(Color::Black).bg(color),
            None if self.unicode => Style::new().add_modifier(Modifier::REVERSED),
            None => Style::new(),
        };
        style.add_modifier(Modifier::BOLD)
    }

    /// Of what matters less.
    pub(in crate::commands::up) const fn dim(self) -> Style {
        if self.color {
            Style::new().fg(Color::DarkGray)
        } else {
            Style::new().add_modifier(Modifier::DIM)
        }
    }

    /// Of what is well.
    pub(super) const fn good(self) -> Style {
        self.colored(Color::Green)
    }

    /// Of what is not.
    pub(super) const fn bad(self) -> Style {
        self.colored(Color::Red)
    }

    /// Of the button while it is pressed.
    pub(super) const fn pressed(self) -> Style {
        self.colored(Color::Cyan)
            .add_modifier(Modifier::BOLD)
            .add_modifier(Modifier::REVERSED)
    }

    pub(super) const fn bold(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    pub(super) const fn border(self) -> border::Set<'static> {
        if self.unicode {
            border::ROUNDED
        } else {
            ASCII_BORDER
        }
    }

    /// Before a board that is connected, or not.
    pub(super) const fn bullet(self, connected: bool) -> &'static str {
        match (self.unicode, connected) {
            (true, true) => "●",
            (true, false) => "○",
            (false, true) => "*",
            (false, false) => "-",
        }
    }

    /// What the button's key is called.
    pub(super) const fn key(self) -> &'static str {
        "space"
    }

    const fn colored(self, color: Color) -> Style {
        if self.color {
            Style::new().fg(color)
        } else {
            Style::new()
        }
    }

    const fn light_color(self) -> Option<Color> {
        match (self.color, self.many_colors) {
            (false, _) => None,
            (true, false) => Some(Color::Yellow),
            (true, true) => Some(AMBER),
        }
    }
}

const ASCII_BORDER: border::Set<'static> = border::Set {
    top_left: "+",
    top_right: "+",
    bottom_left: "+",
    bottom_right: "+",
    vertical_left: "|",
    vertical_right: "|",
    horizontal_top: "-",
    horizontal_bottom: "-",
};

/// Of the palette of 256: to be seen on a dark and on a light ground.
const AMBER: Color = Color::Indexed(220);
