//! The light after a restart, and what else the LED shows.

use std::assert_eq;
use std::vec::Vec;

use core::time::Duration;

use super::bench::{Bench, LED, LED_SET, LINK};
use crate::{Effect, RestartReason, Start, StoreError};

fn stores(bench: &Bench) -> Vec<bool> {
    let store = |effect: &Effect| match effect {
        Effect::StoreLight { on, .. } => Some(*on),
        _ => None,
    };
    bench.effects.iter().filter_map(store).collect()
}

/// Answers the last wish to store the light.
fn answer(bench: &mut Bench, result: Result<(), StoreError>) {
    let ticket = bench.effects.iter().rev().find_map(|effect| match effect {
        Effect::StoreLight { ticket, .. } => Some(*ticket),
        _ => None,
    });
    bench
        .board
        .handle_stored(ticket.expect("a wish"), result, bench.now);
    bench.drive();
}

fn lit() -> Start {
    Start {
        light: Some(true),
        ..Start::new("test", RestartReason::PowerOn)
    }
}

#[test]
fn by_default_the_light_is_dark_until_the_broker_tells() {
    let mut bench = Bench::start(&[], lit());
    bench.open_transport();
    assert_eq!(bench.leds(), [false]);
    bench.retained(LINK, "ON");
    assert_eq!(bench.leds(), [false, true]);
}

#[test]
fn from_flash_the_light_is_as_it_was_until_the_broker_tells() {
    let mut bench = Bench::start(&[("led-restore", "flash")], lit());
    assert_eq!(bench.leds(), [true]);
    bench.open_transport();
    assert_eq!(bench.sent_on(LED), ["ON qos0 retain"]);
    bench.retained(LINK, "OFF");
    assert_eq!(bench.leds(), [true, false]);
}

#[test]
fn what_is_retained_does_not_change_a_light_that_is_set_to_be_on_or_off() {
    for (setting, on, other) in [("on", true, "OFF"), ("off", false, "ON")] {
        let mut bench = Bench::start(&[("led-restore", setting)], lit());
        bench.open_transport();
        bench.retained(LINK, other);
        bench.retained(LED_SET, other);
        assert_eq!(bench.leds(), [on]);
        assert_eq!(bench.board.link_state(), Some(!on), "a press knows it");
        bench.message(LINK, other);
        assert_eq!(bench.leds(), [on, !on]);
    }
}

#[test]
fn what_is_retained_counts_again_after_the_first_connection_and_after_a_press() {
    let mut bench = Bench::new(&[("led-restore", "off")]);
    bench.open_transport();
    bench.retained(LINK, "ON");
    bench.reconnect();
    bench.retained(LINK, "ON");
    assert!(bench.board.light());
    let mut bench = Bench::new(&[("led-restore", "off"), ("role", "subscriber")]);
    bench.open_transport();
    bench.press();
    bench.retained(LINK, "ON");
    assert!(bench.board.light());
}

#[test]
fn a_light_is_stored_when_it_was_still_for_five_seconds_and_is_another_than_before() {
    let mut bench = Bench::connected(&[("led-restore", "flash")]);
    for _ in 0..99 {
        bench.message(LED_SET, "TOGGLE");
        bench.pass(Duration::from_secs(4));
    }
    assert!(stores(&bench).is_empty());
    bench.pass(Duration::from_secs(1));
    assert_eq!(stores(&bench), [true]);
    answer(&mut bench, Ok(()));
    bench.message(LED_SET, "OFF");
    bench.message(LED_SET, "ON");
    bench.pass(Duration::from_secs(60));
    assert_eq!(stores(&bench), [true], "that is there already");
    bench.message(LED_SET, "OFF");
    bench.pass(Duration::from_secs(5));
    answer(&mut bench, Err(StoreError::Flash));
    let log = bench.log();
    assert_eq!(
        log.last(),
        Some(&"warn: the light's state could not be stored: the flash does not work")
    );
    bench.message(LED_SET, "ON");
    bench.message(LED_SET, "OFF");
    bench.pass(Duration::from_secs(5));
    assert_eq!(stores(&bench), [true, false, false], "tried again");
}

#[test]
fn without_the_setting_nothing_is_stored() {
    for setting in ["retained", "on", "off"] {
        let mut bench = Bench::connected(&[("led-restore", setting)]);
        bench.message(LED_SET, "ON");
        bench.message(LED_SET, "OFF");
        bench.pass(Duration::from_secs(60));
        assert!(stores(&bench).is_empty(), "{setting}");
    }
}

#[test]
fn a_planned_restart_stores_the_light_first() {
    let mut bench = Bench::connected(&[("led-restore", "flash")]);
    bench.message(LED_SET, "ON");
    bench.types("restart");
    let at = |wanted: fn(&Effect) -> bool| bench.effects.iter().position(wanted);
    let store = at(|effect| matches!(effect, Effect::StoreLight { on: true, .. }));
    let restart = at(|effect| *effect == Effect::Restart);
    assert!(store.is_some() && store < restart, "{:?}", bench.effects);
}

/// Microseconds.
const PERIOD: u64 = 1 << 21;

/// At which sixteenths of two seconds the LED is lit.
fn flashes(bench: &mut Bench) -> Vec<u64> {
    // From the beginning of a period on.
    let rest = PERIOD - bench.now.as_micros() % PERIOD;
    bench.pass(Duration::from_micros(rest));
    bench.board.handle_timeout(bench.now);
    bench.drive();
    let mut lit = Vec::new();
    let mut on = bench.leds().last() == Some(&true);
    for at in 0..16 {
        if on {
            lit.push(at);
        }
        bench
            .effects
            .retain(|effect| !matches!(effect, Effect::SetLed(_)));
        bench.pass(Duration::from_micros(PERIOD / 16));
        on = bench.leds().last().copied().unwrap_or(on);
    }
    lit
}

#[test]
fn the_led_flashes_twice_without_network_once_without_broker_and_is_the_light_when_connected() {
    let mut bench = Bench::connected(&[("led-status", "on")]);
    bench.pass(Duration::from_secs(2));
    bench.message(LED_SET, "ON");
    assert_eq!(flashes(&mut bench).len(), 16, "the light is on");
    bench.board.handle_link(false, bench.now);
    bench.drive();
    assert_eq!(flashes(&mut bench), [0, 2]);
    bench.board.handle_link(true, bench.now);
    bench.drive();
    assert_eq!(flashes(&mut bench), [0]);
    bench.pass(Duration::from_millis(200));
    bench
        .effects
        .retain(|effect| *effect == Effect::OpenTransport);
    bench.open_transport();
    bench.message(LED_SET, "OFF");
    assert_eq!(bench.leds(), [true], "a second for: connected");
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.leds(), [true, false], "and then the light");
}

#[test]
fn by_default_the_led_shows_nothing_but_the_light() {
    let mut bench = Bench::new(&[]);
    bench.effects.clear();
    bench.board.handle_link(false, bench.now);
    bench.drive();
    bench.pass(Duration::from_secs(10));
    assert_eq!(bench.leds(), []);
}
