//! From the [`View`] to the cells of the screen.

use std::borrow::Cow;
use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Paragraph, Widget as _};

use super::super::lamp;
use super::super::printable;
use super::{Board, Entry, Join, Kind, Side, View, millis};

impl View {
    /// Draws everything, whatever the size.
    pub(in crate::commands::up) fn draw(&self, area: Rect, buffer: &mut Buffer) {
        if area.width >= WIDE.0 && area.height >= WIDE.1 {
            self.draw_wide(area, buffer);
        } else {
            self.draw_narrow(area, buffer);
        }
    }

    /// The boards side by side.
    fn draw_wide(&self, area: Rect, buffer: &mut Buffer) {
        let area = inset(area, 2);
        let below = self.below(area.width);
        let fixed = 4 + below.len() as u16;
        let panels = ((area.height - fixed) * 3 / 5).clamp(9, 15);
        let rows = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Length(panels),
            Constraint::Length(1),
            Constraint::Min(1),
            Constraint::Length(1 + below.len() as u16),
        ]);
        let [header, _, boards, _, log, bottom] = rows.areas(area);
        self.draw_header(header, buffer);
        let columns = Layout::horizontal([
            Constraint::Fill(1),
            Constraint::Length(14),
            Constraint::Fill(1),
        ]);
        let [left, middle, right] = columns.areas(boards);
        let left = self.draw_panel(Side::Publisher, left, buffer);
        self.draw_button(left, buffer);
        self.draw_way(middle, buffer);
        let right = self.draw_panel(Side::Subscriber, right, buffer);
        lamp::draw(self.light(), self.look, right, buffer);
        self.draw_log(log, buffer);
        for (line, row) in below.into_iter().zip(bottom.rows().skip(1)) {
            line.render(row, buffer);
        }
    }

    /// One below the other, and what does not fit is left out.
    fn draw_narrow(&self, area: Rect, buffer: &mut Buffer) {
        let area = inset(area, u16::from(area.width > 30));
        let mut below = self.below(area.width);
        if area.height < 14 {
            below.drain(..below.len() - 1);
        }
        let log = match area.height {
            0..=7 => 0,
            8..=11 => 1,
            height => 3 + (height - 12) / 3,
        };
        let rows = Layout::vertical([
            Constraint::Length(u16::from(area.height > 3)),
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Min(0),
            Constraint::Length(log),
            Constraint::Length(if area.height > 4 {
                below.len() as u16
            } else {
                0
            }),
        ]);
        let [header, publisher, subscriber, light, log, bottom] = rows.areas(area);
        self.draw_header(header, buffer);
        self.draw_board_line(Side::Publisher, publisher, buffer);
        self.draw_board_line(Side::Subscriber, subscriber, buffer);
        lamp::draw(self.light(), self.look, light, buffer);
        self.draw_log(log, buffer);
        for (line, row) in below.into_iter().zip(bottom.rows()) {
            line.render(row, buffer);
        }
    }

    fn draw_header(&self, area: Rect, buffer: &mut Buffer) {
        let url = format!("mqtt://{}", self.address);
        styled("declic", self.look.bold()).render(area, buffer);
        if usize::from(area.width) > url.len() + 8 {
            styled(url, self.look.dim())
                .right_aligned()
                .render(area, buffer);
        }
    }

    /// Draws a board's frame and what both have in common; returns the room below it.
    fn draw_panel(&self, side: Side, area: Rect, buffer: &mut Buffer) -> Rect {
        let board = self.board(side);
        let title = match side {
            Side::Publisher => " publisher: the button ",
            Side::Subscriber => " subscriber: the light ",
        };
        let block = Block::bordered()
            .border_set(self.look.border())
            .border_style(self.look.dim())
            .title(styled(title, self.look.bold().fg(Color::Reset)));
        let inner = inset(block.inner(area), 2);
        block.render(area, buffer);
        let [state, id, _, room] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Length(u16::from(inner.height > 9)),
            Constraint::Min(0),
        ])
        .areas(inner);
        self.state(board).render(state, buffer);
        if board.is_connected() {
            let version = format!("MQTT {}", board.status.version);
            styled(version, self.look.dim())
                .right_aligned()
                .render(state, buffer);
        }
        styled(board.client_id.as_str(), self.look.dim()).render(id, buffer);
        room
    }

    fn draw_button(&self, area: Rect, buffer: &mut Buffer) {
        let width = area.width.min(17);
        let [_, button, presses, _] = Layout::vertical([
            Constraint::Fill(1),
            Constraint::Length(3),
            Constraint::Length(1),
            Constraint::Fill(1),
        ])
        .areas(area);
        let button = Rect {
            x: area.x + (area.width - width) / 2,
            width,
            ..button
        };
        let style = match self.pressed_until {
            Some(_) => self.look.pressed(),
            None => self.look.bold(),
        };
        let block = Block::bordered()
            .border_set(self.look.border())
            .style(style);
        Paragraph::new("press")
            .centered()
            .block(block)
            .render(button, buffer);
        styled(self.presses(), self.look.dim())
            .centered()
            .render(presses, buffer);
    }

    /// What goes from one board to the other, on which topic, and how long it took.
    fn draw_way(&self, area: Rect, buffer: &mut Buffer) {
        let [_, payload, arrow, topic, delay, _] = Layout::vertical([
            Constraint::Fill(1),
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Fill(1),
        ])
        .areas(area);
        let style = match self.sent {
            Some((true, _)) => self.look.light(),
            _ => Style::new(),
        };
        if let Some((on, _)) = self.sent {
            styled(if on { "ON" } else { "OFF" }, style.patch(self.look.bold()))
                .centered()
                .render(payload, buffer);
        }
        let shaft = usize::from(arrow.width.saturating_sub(5));
        let shape = if self.look.unicode {
            format!("{}▶", "─".repeat(shaft))
        } else {
            format!("{}>", "-".repeat(shaft))
        };
        styled(shape, self.look.dim())
            .centered()
            .render(arrow, buffer);
        styled(self.topic.as_str(), self.look.dim())
            .centered()
            .render(topic, buffer);
        if let Some(time) = self.delay {
            Line::raw(millis(time)).centered().render(delay, buffer);
        }
    }

    fn draw_board_line(&self, side: Side, area: Rect, buffer: &mut Buffer) {
        let board = self.board(side);
        let connected = board.is_connected();
        let style = if connected {
            self.look.good()
        } else {
            self.look.bad()
        };
        let mut line = Line::default();
        line.push_span(Span::styled(self.look.bullet(connected), style));
        line.push_span(format!(" {}", side.as_str()));
        line.render(area, buffer);
        let figure = match side {
            Side::Publisher => self.presses(),
            Side::Subscriber => self
                .delay
                .map(|delay| format!("after {}", millis(delay)))
                .unwrap_or_default(),
        };
        if area.width > 30 {
            styled(figure, self.look.dim())
                .right_aligned()
                .render(area, buffer);
        }
    }

    fn draw_log(&self, area: Rect, buffer: &mut Buffer) {
        let first = self.log.len().saturating_sub(usize::from(area.height));
        for (entry, row) in self.log.iter().skip(first).zip(area.rows()) {
            self.entry(entry).render(row, buffer);
        }
    }

    fn entry<'a>(&self, entry: &'a Entry) -> Line<'a> {
        let style = match entry.kind {
            Kind::Press => self.look.bold(),
            Kind::Light => self.look.light(),
            Kind::Trouble => self.look.bad(),
            Kind::Other => Style::new(),
        };
        Line::from(vec![
            Span::styled(format!("{}  ", clock(entry.at)), self.look.dim()),
            Span::styled(entry.text.as_str(), style),
        ])
    }

    fn state<'a>(&self, board: &'a Board) -> Line<'a> {
        let connected = board.is_connected();
        let (style, text) = match &board.trouble {
            _ if connected => (self.look.good(), "connected"),
            Some(trouble) => (self.look.bad(), trouble.as_str()),
            None => (self.look.dim(), "connecting"),
        };
        Line::from(vec![
            Span::styled(self.look.bullet(connected), style),
            Span::raw(" "),
            Span::styled(text, style),
        ])
    }

    fn presses(&self) -> String {
        match self.board(Side::Publisher).status.presses {
            1 => "1 press".to_owned(),
            presses => format!("{presses} presses"),
        }
    }

    /// The lines at the bottom; the last one tells the keys.
    fn below(&self, width: u16) -> Vec<Line<'static>> {
        let mut lines = Vec::new();
        if !self.clients.is_empty() {
            let clients = self.clients.iter().take(CLIENTS).map(|(id, version)| {
                vec![Span::raw(format!("{} (MQTT {version})", printable(id)))]
            });
            let more = self.clients.len().checked_sub(CLIENTS + 1);
            let more = more.map(|more| vec![Span::raw(format!("and {} more", more + 1))]);
            lines.extend(self.fields("also here", clients.chain(more), width));
        }
        lines.extend(self.fields("a real board", self.join().into_iter(), width));
        lines.push(Line::from(vec![
            Span::styled("space", self.look.bold()),
            Span::styled(" or ", self.look.dim()),
            Span::styled("Enter", self.look.bold()),
            Span::styled(" press    ", self.look.dim()),
            Span::styled("q", self.look.bold()),
            Span::styled(" quit", self.look.dim()),
        ]));
        lines
    }

    /// What to enter on a real board, in fields.
    fn join(&self) -> Vec<Vec<Span<'static>>> {
        let field = |name: &'static str, value: String| {
            vec![
                Span::styled(name, self.look.dim()),
                Span::styled(value, self.look.bold()),
            ]
        };
        let Join::Open {
            address,
            port,
            login,
            anyone,
        } = &self.join
        else {
            let mut needs = field("needs ", "declic up --lan".to_owned());
            needs.push(Span::styled(
                " (now only this computer can join)",
                self.look.dim(),
            ));
            return vec![needs];
        };
        let host = address.map(|address| address.ip().to_string());
        let mut fields = vec![
            field(
                "host ",
                host.unwrap_or_else(|| "(this computer)".to_owned()),
            ),
            field("port ", port.to_string()),
        ];
        match login {
            Some(login) => {
                fields.push(field("user ", login.name.clone()));
                fields.push(field("password ", login.password.clone()));
            }
            None if *anyone => fields.push(field("no password", String::new())),
            None => fields.push(field("user and password ", "one of yours".to_owned())),
        }
        fields
    }

    /// As many lines as `fields` need, behind a column with `title` where there is room for one.
    fn fields(
        &self,
        title: &'static str,
        fields: impl Iterator<Item = Vec<Span<'static>>>,
        width: u16,
    ) -> Vec<Line<'static>> {
        let indent = if width < 60 { 0 } else { TITLE };
        let first = if indent == 0 { "" } else { title };
        let mut lines = vec![styled(format!("{first:indent$}"), self.look.dim())];
        for field in fields {
            let len: usize = field.iter().map(Span::width).sum();
            let last = lines.last().map_or(0, Line::width);
            if last > indent && last + 2 + len > usize::from(width) {
                lines.push(Line::raw(" ".repeat(indent)));
            } else if last > indent
                && let Some(line) = lines.last_mut()
            {
                line.push_span("  ");
            }
            if let Some(line) = lines.last_mut() {
                line.extend(field);
            }
        }
        lines
    }

    const fn board(&self, side: Side) -> &Board {
        &self.boards[side as usize]
    }
}

/// `text` in `style`. A line that has a style itself would give it to its whole row, and so to
/// what is there already.
fn styled<'a>(text: impl Into<Cow<'a, str>>, style: Style) -> Line<'a> {
    Line::from(Span::styled(text, style))
}

/// Time since the start: `01:02.345`.
fn clock(time: Duration) -> String {
    let (minutes, seconds) = (time.as_secs() / 60, time.as_secs() % 60);
    format!("{minutes:02}:{seconds:02}.{:03}", time.subsec_millis())
}

/// `area` without `by` columns on each side.
const fn inset(area: Rect, by: u16) -> Rect {
    let by = if area.width > by * 2 { by } else { 0 };
    Rect {
        x: area.x + by,
        width: area.width - by * 2,
        ..area
    }
}

/// Width of the column of titles at the bottom.
const TITLE: usize = 14;
/// Other clients that are named.
const CLIENTS: usize = 8;

/// The least width and height for boards side by side.
const WIDE: (u16, u16) = (76, 20);
