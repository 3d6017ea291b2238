//! Many boards whose broker restarts: how they come back.

use std::fmt;
use std::time::Duration;

use declic_board::{Settings, Storage};
use declic_mqtt::Instant;

use crate::{BoardIndex, Fact, Network, World};

/// How many boards connected in which second after their broker was back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storm {
    /// Boards, all connected before.
    pub boards: usize,
    /// How long the broker was away.
    pub outage: Duration,
    /// Boards that the broker accepted, for each second since it was back.
    pub accepted: Vec<usize>,
    /// The most transports that were asked for within one second, from the end of the old broker
    /// on: what its machine had to answer, be it with a refusal.
    pub most_attempts: usize,
}

impl Storm {
    /// Boards with their default settings, in pairs; their broker is killed, loses its memory and
    /// starts again after `outage`.
    pub fn run(seed: u64, boards: usize, outage: Duration) -> Self {
        let mut memory: Vec<_> = (0..boards).map(|_| Storage::new()).collect();
        let mut world = World::new(seed, Network::default(), &mut memory)
            .without_timeline()
            .with_records();
        let all: Vec<_> = (0..boards)
            .map(|place| {
                let mut settings = Settings::default();
                let pair = format!("pair-{}", place / 2);
                settings.set("pair", &pair).expect("a valid name of a pair");
                world.add_board("board", settings)
            })
            .collect();
        // Longer than any uptime after which a connection counts as stable.
        world.run_for(Duration::from_secs(120));
        world.kill_broker();
        let mut most_attempts = 0;
        let mut attempts = attempts_of(&world, &all);
        let mut count_second = |world: &World<'_>| {
            let now = attempts_of(world, &all);
            most_attempts = most_attempts.max(now - attempts);
            attempts = now;
        };
        for _ in 0..outage.as_secs() {
            world.run_for(SECOND);
            count_second(&world);
        }
        while world.poll_record().is_some() {}
        world.start_broker();
        let started = world.now();
        let mut accepted = Vec::new();
        let mut missing = boards;
        while missing > 0 && world.now().since(started) < PATIENCE {
            world.run_for(SECOND);
            count_second(&world);
            let now = accepted_in(&mut world);
            accepted.push(now);
            missing = missing.saturating_sub(now);
        }
        Self {
            boards,
            outage,
            accepted,
            most_attempts,
        }
    }

    /// The most boards that were accepted within one second.
    pub fn peak(&self) -> usize {
        self.accepted.iter().copied().max().unwrap_or(0)
    }

    /// Boards that were accepted, each time counted.
    pub fn total(&self) -> usize {
        self.accepted.iter().sum()
    }

    /// In which second that share of the boards, in percent, was back.
    pub fn back_after(&self, percent: usize) -> Option<Duration> {
        let wanted = (self.boards * percent).div_ceil(100);
        let mut back = 0;
        let second = self.accepted.iter().position(|accepted| {
            back += accepted;
            back >= wanted
        })?;
        Some(Duration::from_secs(second as u64 + 1))
    }

    /// A histogram as an SVG image.
    pub fn svg(storms: &[Self]) -> String {
        let mut svg = Svg::default();
        for (place, storm) in storms.iter().enumerate() {
            svg.panel(place, storm);
        }
        svg.finish(storms.len())
    }
}

impl fmt::Display for Storm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { boards, outage, .. } = self;
        writeln!(
            f,
            "{boards} boards, broker away for {outage:?}: {} accepted, at most {} within a second \
             ({:.1} %), at most {} attempts within a second",
            self.total(),
            self.peak(),
            share(self.peak(), *boards),
            self.most_attempts,
        )?;
        let widest = self.peak().max(1);
        for (second, accepted) in self.accepted.iter().enumerate() {
            let bar = "#".repeat((accepted * WIDTH).div_ceil(widest));
            writeln!(f, "{second:>5} s {accepted:>6} {bar}")?;
        }
        Ok(())
    }
}

/// In percent.
pub(crate) fn share(part: usize, whole: usize) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}

fn attempts_of(world: &World<'_>, boards: &[BoardIndex]) -> usize {
    let attempts = boards.iter().map(|board| world.counters(*board).attempts);
    attempts.sum::<u64>() as usize
}

fn accepted_in(world: &mut World<'_>) -> usize {
    let mut accepted = 0;
    while let Some(record) = world.poll_record() {
        debug_assert!(record.at > Instant::ZERO);
        accepted += usize::from(matches!(record.what, Fact::Accepted { .. }));
    }
    accepted
}

/// A picture in the making.
#[derive(Default)]
struct Svg(String);

impl Svg {
    fn panel(&mut self, place: usize, storm: &Storm) {
        let top = place * PANEL;
        let bottom = top + PANEL - 22;
        let seconds = storm.accepted.len().max(SECONDS);
        let width = (IMAGE - 2 * MARGIN) as f64 / seconds as f64;
        let full = storm.peak().max(1);
        self.text(
            MARGIN,
            top + 16,
            &format!(
                "broker away for {} s: {:.1} % of {} boards in the worst second",
                storm.outage.as_secs(),
                share(storm.peak(), storm.boards),
                storm.boards
            ),
        );
        for (second, accepted) in storm.accepted.iter().enumerate() {
            let height = (PANEL - 46) as f64 * *accepted as f64 / full as f64;
            let x = MARGIN as f64 + second as f64 * width;
            let y = bottom as f64 - height;
            self.0 += &format!(
                "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{height:.1}\" fill=\"#2f7d6b\"/>\n",
                (width - 1.0).max(0.5)
            );
        }
        let right = IMAGE - MARGIN;
        self.0 +=
            &format!("<path d=\"M{MARGIN} {bottom}H{right}\" stroke=\"#888\" fill=\"none\"/>\n");
        self.text(MARGIN, bottom + 14, "0 s");
        self.text(right - 30, bottom + 14, &format!("{seconds} s"));
    }

    fn text(&mut self, x: usize, y: usize, text: &str) {
        self.0 += &format!("<text x=\"{x}\" y=\"{y}\">{text}</text>\n");
    }

    fn finish(self, panels: usize) -> String {
        let height = panels * PANEL + 6;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {IMAGE} {height}\" \
             font-family=\"sans-serif\" font-size=\"12\" fill=\"#444\">\n\
             <rect width=\"{IMAGE}\" height=\"{height}\" fill=\"#fff\"/>\n{}</svg>\n",
            self.0
        )
    }
}

const SECOND: Duration = Duration::from_secs(1);
/// How long to wait for the last board.
const PATIENCE: Duration = Duration::from_secs(300);
/// Signs of the longest bar.
const WIDTH: usize = 60;
/// Of the picture, in its units.
const IMAGE: usize = 720;
const PANEL: usize = 130;
const MARGIN: usize = 16;
/// The shortest time axis.
const SECONDS: usize = 60;
