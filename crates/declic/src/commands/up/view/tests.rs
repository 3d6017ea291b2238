use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier};

use super::*;

const PLAIN: Look = Look {
    color: false,
    many_colors: false,
    unicode: true,
};

/// A view in which the boards are connected and the button was pressed once.
fn view(look: Look, join: Join) -> View {
    let started = Instant::now();
    let address = ([127, 0, 0, 1], 1883).into();
    let ids = ["declic0000000000b1", "declic0000000000a1"];
    let mut view = View::new(look, started, address, join, ids);
    let status = |light| Status {
        connection: Connection::Connected {
            since: declic_mqtt::Instant::ZERO,
        },
        subscribed: true,
        light,
        presses: 1,
        ..Status::default()
    };
    let mut tell = |side, millis, light, notice| {
        let report = Report {
            at: started + Duration::from_millis(millis),
            news: News::Notice(notice),
            status: status(light),
        };
        view.report(side, &report);
    };
    let connected = Notice::Connected {
        version: ProtocolVersion::V5,
        session_present: false,
    };
    tell(Side::Publisher, 3, false, connected);
    tell(Side::Subscriber, 2, false, connected);
    tell(
        Side::Publisher,
        500,
        false,
        Notice::Pressed {
            kind: declic_board::PressKind::Press,
            count: 1,
            sends: Some(true),
        },
    );
    tell(Side::Subscriber, 501, true, Notice::Light(true));
    view
}

fn drawn(view: &View, width: u16, height: u16) -> Buffer {
    let area = Rect::new(0, 0, width, height);
    let mut buffer = Buffer::empty(area);
    view.draw(area, &mut buffer);
    buffer
}

fn text(buffer: &Buffer) -> String {
    let row = |y| {
        let cells = (0..buffer.area.width).map(|x| buffer[(x, y)].symbol());
        cells.collect::<String>() + "\n"
    };
    (0..buffer.area.height).map(row).collect()
}

#[test]
fn every_size_can_be_drawn() {
    let login = Credentials {
        name: "declic".into(),
        password: "aaaaa-bbbbb-ccccc-ddddd".into(),
    };
    let addresses = [([0, 0, 0, 0], 1883).into()];
    let mut view = view(PLAIN, Join::new(&addresses, Some(&login), false));
    view.joined(Instant::now(), "ESP32_Publisher", ProtocolVersion::V3_1_1);
    let widths = [
        0, 1, 2, 5, 12, 29, 30, 31, 32, 40, 59, 60, 75, 76, 77, 80, 200,
    ];
    for width in widths {
        for height in (0..9).chain(11..16).chain(18..22).chain([60]) {
            drawn(&view, width, height);
        }
    }
}

#[test]
fn boards_light_and_keys_are_shown_in_a_usual_terminal() {
    let view = view(PLAIN, Join::Closed);
    for (width, height) in [(80, 24), (100, 30), (200, 60)] {
        let text = text(&drawn(&view, width, height));
        for part in [
            "mqtt://127.0.0.1:1883",
            "declic0000000000b1",
            "declic0000000000a1",
            "MQTT 5.0",
            "1 press",
            "█ ON █",
            "00:00.501  subscriber light ON, 1.0 ms later",
            "esp32/data",
            "declic up --lan",
            "q quit",
        ] {
            assert!(
                text.contains(part),
                "{width}x{height}: no {part} in\n{text}"
            );
        }
    }
}

#[test]
fn the_light_is_shown_in_a_small_terminal() {
    let view = view(PLAIN, Join::Closed);
    for (width, height) in [(40, 12), (30, 8), (24, 6)] {
        let text = text(&drawn(&view, width, height));
        for part in ["● publisher", "● subscriber", " ON ", "space"] {
            assert!(
                text.contains(part),
                "{width}x{height}: no {part} in\n{text}"
            );
        }
    }
}

#[test]
fn what_a_real_board_needs_is_shown_whole_or_on_the_next_line() {
    let login = Credentials {
        name: "declic".into(),
        password: "aaaaa-bbbbb-ccccc-ddddd".into(),
    };
    let addresses = [([192, 168, 100, 200], 1883).into()];
    let view = view(PLAIN, Join::new(&addresses, Some(&login), false));
    for (width, height) in [(40, 16), (60, 20), (80, 24), (120, 30)] {
        let text = text(&drawn(&view, width, height));
        for part in [
            "host 192.168.100.200",
            "port 1883",
            "user declic",
            "password aaaaa-bbbbb-ccccc-ddddd",
        ] {
            assert!(
                text.contains(part),
                "{width}x{height}: no {part} in\n{text}"
            );
        }
    }
}

#[test]
fn without_unicode_everything_is_ascii() {
    let look = Look {
        unicode: false,
        ..PLAIN
    };
    let mut view = view(look, Join::Closed);
    for _ in 0..2 {
        for (width, height) in [(100, 30), (40, 12)] {
            let text = text(&drawn(&view, width, height));
            assert!(text.is_ascii(), "{text}");
        }
        view.boards[1].status.light = false;
    }
}

#[test]
fn colour_is_used_only_where_it_is_wanted() {
    let light_color = |look| {
        let buffer = drawn(&view(look, Join::Closed), 100, 30);
        let block = buffer.content().iter().find(|cell| cell.symbol() == "█");
        let colors: Vec<_> = buffer
            .content()
            .iter()
            .flat_map(|cell| [cell.fg, cell.bg])
            .collect();
        (block.expect("the lamp").fg, colors)
    };
    let (color, all) = light_color(PLAIN);
    assert_eq!(color, Color::Reset);
    assert!(all.iter().all(|color| *color == Color::Reset));
    let few = Look {
        color: true,
        ..PLAIN
    };
    let buffer = drawn(&view(few, Join::Closed), 100, 30);
    let bullets = buffer.content().iter().filter(|cell| cell.symbol() == "●");
    assert!(bullets.clone().count() == 2 && bullets.clone().all(|cell| cell.fg == Color::Green));
    assert_eq!(light_color(few).0, Color::Yellow);
    let many = Look {
        many_colors: true,
        ..few
    };
    assert_eq!(light_color(many).0, Color::Indexed(220));
}

#[test]
fn the_button_is_shown_as_pressed_for_a_moment() {
    let mut view = view(PLAIN, Join::Closed);
    let is_reversed = |view: &View| {
        let buffer = drawn(view, 100, 30);
        buffer.content().windows(5).any(|cells| {
            let word: String = cells.iter().map(|cell| cell.symbol()).collect();
            word == "press" && cells[0].modifier.contains(Modifier::REVERSED)
        })
    };
    assert!(!is_reversed(&view));
    view.key();
    assert!(is_reversed(&view));
    let end = view.poll_timeout().expect("an end of it");
    view.handle_timeout(end - Duration::from_millis(1));
    assert!(is_reversed(&view));
    view.handle_timeout(end);
    assert!(!is_reversed(&view));
    assert_eq!(view.poll_timeout(), None);
}

#[test]
fn a_clients_identifier_cannot_do_anything_to_the_terminal() {
    let mut view = view(PLAIN, Join::Closed);
    let client_id = format!("\u{1b}[2J{}", "x".repeat(60_000));
    view.joined(Instant::now(), &client_id, ProtocolVersion::V5);
    let shown = text(&drawn(&view, 100, 30));
    assert!(shown.contains("\\u{1b}[2Jxxx"), "{shown}");
    assert!(shown.contains("also here"), "{shown}");
    let reason = declic_broker::CloseReason::Lost;
    view.left(Instant::now(), &client_id, reason);
    assert!(!text(&drawn(&view, 100, 30)).contains("also here"));
}

#[test]
fn what_happened_is_shown_in_the_order_in_which_it_happened() {
    let mut view = view(PLAIN, Join::Closed);
    let started = view.started;
    for (millis, name) in [(900, "b"), (800, "a"), (950, "c"), (900, "b2")] {
        view.note(
            started + Duration::from_millis(millis),
            Kind::Other,
            name.to_owned(),
        );
    }
    let names: Vec<_> = view
        .log
        .iter()
        .rev()
        .take(4)
        .rev()
        .map(|entry| entry.text.as_str())
        .collect();
    assert_eq!(names, ["a", "b", "b2", "c"]);
    for number in 0..2 * LOG {
        view.note(
            started + Duration::from_secs(1),
            Kind::Other,
            number.to_string(),
        );
    }
    assert_eq!(view.log.len(), LOG);
}
