//! The same mishaps for boards of Déclic and for the tutorial's programs.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use declic_board::{Settings, Storage};
use declic_mqtt::Instant;

use crate::random::Random;
use crate::{BoardIndex, Fact, Network, Part, World};

/// Something that goes wrong for a while.
pub struct Mishap {
    /// What happens, for people.
    pub name: &'static str,
    begin: fn(&mut World<'_>, Home),
    lasts: Duration,
    end: fn(&mut World<'_>, Home),
}

/// A button's board and a light's board.
#[derive(Debug, Clone, Copy)]
struct Home {
    button: BoardIndex,
    light: BoardIndex,
}

/// Who lives in the home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Boards of Déclic with their default settings.
    Declic,
    /// The tutorial's MicroPython programs.
    Tutorial,
}

/// What came of a mishap, over many seeds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Comparison {
    /// How often it was tried.
    pub runs: usize,
    /// From the end of the mishap until both boards were in service again and the light showed the
    /// last press, in order; only where that came about by itself.
    pub recoveries: Vec<Duration>,
    /// Presses of a button that had power.
    pub presses: usize,
    /// Presses of which nobody ever heard.
    pub lost: usize,
    /// Messages that came once more, or for nothing.
    pub repeated: usize,
    /// Those of them that the receiver can't tell from others.
    pub untold: usize,
}

impl Comparison {
    /// Plays `mishap` with that many seeds.
    ///
    /// The button is pressed about every 7 s, for 90 ms, from a minute before the mishap to two
    /// minutes after it. Then there are ten more minutes to recover.
    pub fn run(kind: Kind, mishap: &Mishap, seeds: u64) -> Self {
        let mut all = Self::default();
        for seed in 0..seeds {
            all.add(kind, mishap, seed);
        }
        all.recoveries.sort_unstable();
        all
    }

    fn add(&mut self, kind: Kind, mishap: &Mishap, seed: u64) {
        let mut memory = [(); 3].map(|()| Storage::new());
        let mut world = World::new(seed, Network::default(), &mut memory)
            .without_timeline()
            .with_records();
        let home = match kind {
            Kind::Declic => {
                world.add_listener("listener", &["declic/+/button"]);
                Home {
                    button: world.add_board_with_flash("button", role("publisher")),
                    light: world.add_board_with_flash("light", role("subscriber")),
                }
            }
            Kind::Tutorial => Home {
                button: world.add_tutorial("button", Part::Publisher),
                light: world.add_tutorial("light", Part::Subscriber),
            },
        };
        world.run_for(Duration::from_secs(60));
        let mut run = Play::new(kind, seed, home);
        run.press_for(&mut world, Duration::from_secs(60));
        (mishap.begin)(&mut world, home);
        run.press_for(&mut world, mishap.lasts);
        (mishap.end)(&mut world, home);
        run.is_over = true;
        let ended = world.now();
        // What was done at this moment arrives.
        world.run_for(Duration::ZERO);
        run.press_for(&mut world, Duration::from_secs(120));
        run.wait(&mut world, PATIENCE);
        world.run_for(Duration::from_secs(60));
        run.count(&mut world);
        self.runs += 1;
        let recovery = run.well_at.map(|at| at.since(ended));
        self.recoveries.extend(recovery);
        self.presses += run.presses;
        self.lost += run.presses.saturating_sub(run.arrived());
        self.repeated += run.repeated;
        self.untold += run.untold;
    }

    /// A line of a table in Markdown.
    fn cells(&self) -> String {
        let Self {
            runs,
            presses,
            lost,
            ..
        } = self;
        let percent = |part: &usize, whole: &usize| {
            let share = crate::storm::share(*part, *whole);
            match *part {
                0 => "0".to_owned(),
                _ if share < 0.1 => "< 0.1 %".to_owned(),
                _ => format!("{share:.1} %"),
            }
        };
        let recovery = match (self.recoveries.len(), self.recoveries.last()) {
            (0, _) | (_, None) => "never".to_owned(),
            (some, Some(worst)) => {
                let median = self.recoveries[(some - 1) / 2];
                let times = format!("{} / {}", Seconds(median), Seconds(*worst));
                match some == *runs {
                    true => times,
                    false => format!("{times}; never in {}", percent(&(runs - some), runs)),
                }
            }
        };
        format!(
            "{recovery} | {} | {} | {}",
            percent(lost, presses),
            per_press(self.repeated, *presses),
            per_press(self.untold, *presses),
        )
    }
}

/// The whole table in Markdown.
pub fn table(seeds: u64) -> String {
    let mut table = String::from(
        "| what goes wrong | whose boards | back after: median / worst | presses lost | \
         messages too many | of which a receiver can't tell |\n|---|---|---|---|---|---|\n",
    );
    for mishap in MISHAPS {
        for (kind, whose) in [(Kind::Declic, "Déclic"), (Kind::Tutorial, "tutorial")] {
            let name = if kind == Kind::Declic {
                mishap.name
            } else {
                ""
            };
            let cells = Comparison::run(kind, mishap, seeds).cells();
            table += &format!("| {name} | {whose} | {cells} |\n");
        }
    }
    table
}

/// What is tried.
pub const MISHAPS: &[Mishap] = &[
    Mishap {
        name: "nothing, for comparison",
        begin: |_, _| {},
        lasts: Duration::from_secs(60),
        end: |_, _| {},
    },
    Mishap {
        name: "broker restarts in 10 s, memory lost",
        begin: |world, _| world.kill_broker(),
        lasts: Duration::from_secs(10),
        end: |world, _| world.start_broker(),
    },
    Mishap {
        name: "broker restarts in 10 s, memory kept",
        begin: |world, _| world.kill_broker_keeping_memory(),
        lasts: Duration::from_secs(10),
        end: |world, _| world.start_broker(),
    },
    Mishap {
        name: "broker's machine loses its power for 5 min, memory kept",
        begin: |world, _| world.crash_broker_keeping_memory(),
        lasts: Duration::from_secs(300),
        end: |world, _| world.start_broker(),
    },
    Mishap {
        name: "broker stands still for 30 s",
        begin: |world, _| world.pause_broker(),
        lasts: Duration::from_secs(30),
        end: |world, _| world.resume_broker(),
    },
    Mishap {
        name: "Wi-Fi of the button's board away for 30 s",
        begin: |world, home| world.set_link(home.button, false),
        lasts: Duration::from_secs(30),
        end: |world, home| world.set_link(home.button, true),
    },
    Mishap {
        name: "Wi-Fi of the light's board away for 30 s",
        begin: |world, home| world.set_link(home.light, false),
        lasts: Duration::from_secs(30),
        end: |world, home| world.set_link(home.light, true),
    },
    Mishap {
        name: "router restarts in 60 s, all have other addresses",
        begin: |world, _| world.reboot_router(Duration::from_secs(60)),
        lasts: Duration::from_secs(60),
        end: |_, _| {},
    },
    Mishap {
        name: "button's connection goes silent without a word",
        begin: |world, home| world.freeze(home.button),
        lasts: Duration::ZERO,
        end: |_, _| {},
    },
    Mishap {
        name: "light's connection goes silent without a word",
        begin: |world, home| world.freeze(home.light),
        lasts: Duration::ZERO,
        end: |_, _| {},
    },
    Mishap {
        name: "both connections break",
        begin: |world, home| {
            world.cut(home.button);
            world.cut(home.light);
        },
        lasts: Duration::ZERO,
        end: |_, _| {},
    },
    Mishap {
        name: "button's board loses its power for 10 s",
        begin: |world, home| world.power_off(home.button),
        lasts: Duration::from_secs(10),
        end: |world, home| world.power_on(home.button),
    },
    Mishap {
        name: "light's board loses its power for 10 s",
        begin: |world, home| world.power_off(home.light),
        lasts: Duration::from_secs(10),
        end: |world, home| world.power_on(home.light),
    },
    Mishap {
        name: "10 % of all segments lost for 5 min",
        begin: |world, _| {
            world.set_network(Network {
                loss: 100,
                ..Network::default()
            });
        },
        lasts: Duration::from_secs(300),
        end: |world, _| world.set_network(Network::default()),
    },
    Mishap {
        name: "broker throws out whom it accepts for 2 min",
        begin: |world, home| {
            world.set_broker_kicks(true);
            world.kick(home.button);
            world.kick(home.light);
        },
        lasts: Duration::from_secs(120),
        end: |world, _| world.set_broker_kicks(false),
    },
];

/// A run while it lasts.
struct Play {
    kind: Kind,
    home: Home,
    random: Random,
    presses: usize,
    /// Of the tutorial: presses of which the light heard.
    heard: usize,
    /// Of Déclic: events that the listener heard, by start and number.
    events: BTreeSet<(u32, u32)>,
    repeated: usize,
    untold: usize,
    messages: u64,
    is_over: bool,
    /// When all was well after that.
    well_at: Option<Instant>,
}

impl Play {
    fn new(kind: Kind, seed: u64, home: Home) -> Self {
        Self {
            kind,
            home,
            random: Random::new(seed).split(),
            presses: 0,
            heard: 0,
            events: BTreeSet::new(),
            repeated: 0,
            untold: 0,
            messages: 0,
            is_over: false,
            well_at: None,
        }
    }

    fn press_for(&mut self, world: &mut World<'_>, time: Duration) {
        let until = world.now() + time;
        // The contact is closed for 90 ms, and then its debounce time has to be over.
        while until.since(world.now()) > Duration::from_secs(1) {
            if world.is_on(self.home.button) {
                self.presses += 1;
                world.click(self.home.button, Duration::from_millis(90));
            }
            let pause = Duration::from_secs(4) + self.random.up_to(Duration::from_secs(6));
            self.wait(world, until.since(world.now()).min(pause));
            self.count(world);
        }
        self.wait(world, until.since(world.now()));
    }

    /// Lets time pass, and sees when all is well again.
    fn wait(&mut self, world: &mut World<'_>, time: Duration) {
        let until = world.now() + time;
        if self.is_over
            && self.well_at.is_none()
            && world.run_until(time, |world| self.is_well(world))
        {
            self.well_at = Some(world.now());
        }
        world.run_for(until.since(world.now()));
    }

    /// Looks at what has arrived since the last time.
    fn count(&mut self, world: &mut World<'_>) {
        match self.kind {
            Kind::Tutorial => {
                let messages = world.counters(self.home.light).messages;
                let new = (messages - std::mem::replace(&mut self.messages, messages)) as usize;
                self.heard += usize::from(new > 0);
                self.repeated += new.saturating_sub(1);
                self.untold += new.saturating_sub(1);
            }
            Kind::Declic => {}
        }
        while let Some(record) = world.poll_record() {
            if let Fact::Heard { payload, .. } = record.what
                && let Some(event) = event(&String::from_utf8_lossy(&payload))
            {
                self.repeated += usize::from(!self.events.insert(event));
            }
        }
    }

    fn arrived(&self) -> usize {
        match self.kind {
            Kind::Declic => self.events.len(),
            Kind::Tutorial => self.heard,
        }
    }

    /// Whether both are in service, and the light shows the last press.
    fn is_well(&self, world: &World<'_>) -> bool {
        let Home { button, light } = self.home;
        let serve = [button, light].into_iter().all(|board| {
            let subscribed = self.kind == Kind::Tutorial || world.board(board).is_subscribed();
            subscribed && world.is_in_service(board)
        });
        let sent = match self.kind {
            Kind::Declic => world.board(button).link_state().unwrap_or(false),
            Kind::Tutorial => world.tutorial_state(button),
        };
        serve && world.led(light) == sent
    }
}

fn role(role: &str) -> Settings {
    let mut settings = Settings::default();
    settings.set("role", role).expect("a role");
    settings
}

/// Start and number in the payload of an event.
fn event(json: &str) -> Option<(u32, u32)> {
    let number = |name| crate::scenario::number(json, name);
    Some((number("boot")?, number("count")?))
}

fn per_press(messages: usize, presses: usize) -> String {
    match messages {
        0 => "0".to_owned(),
        _ => format!("{:.2} per press", messages as f64 / presses.max(1) as f64),
    }
}

/// A time for people.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs_f64();
        if seconds < 10.0 {
            write!(f, "{seconds:.1} s")
        } else {
            write!(f, "{seconds:.0} s")
        }
    }
}

/// How long to wait until all is well by itself.
const PATIENCE: Duration = Duration::from_secs(600);
