//! What can happen in a scenario.

use std::fmt;
use std::time::Duration;

use crate::{BoardIndex, Network, World};

/// Something happens, and then time passes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What happens.
    pub deed: Deed,
    /// How much time passes behind it.
    pub wait: Duration,
}

/// What happens; a `usize` names a board by its place.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs)] // Each stands for the verb of `World` with its name.
pub enum Deed {
    /// So many presses, with so much time between them.
    Press(usize, u32, Duration),
    Click(usize, Duration),
    Cut(usize),
    Freeze(usize),
    FreezeUplink(usize),
    FreezeDownlink(usize),
    Thaw(usize),
    Link(usize, bool),
    Network(Network),
    BoardNetwork(usize, Network),
    RebootRouter(Duration),
    PowerOff(usize),
    PowerOn(usize),
    /// The name is set and saved, and the power fails after so many bytes.
    SaveAndCutPower(usize, usize),
    /// The listener's connection breaks.
    CutListener,
    Kick(usize),
    BrokerKicks(bool),
    StopBroker,
    KillBroker {
        keeps_memory: bool,
    },
    CrashBroker {
        keeps_memory: bool,
    },
    StartBroker,
    PauseBroker,
    ResumeBroker,
    BrokerPace(Duration),
}

impl Deed {
    /// Does it.
    pub(super) fn apply(&self, world: &mut World<'_>, boards: &[BoardIndex], listener: BoardIndex) {
        let board = |place: usize| boards[place % boards.len()];
        match *self {
            Self::Press(place, times, pause) => {
                for press in 0..times {
                    if press > 0 {
                        world.run_for(pause);
                    }
                    world.press(board(place));
                }
            }
            Self::Click(place, held) => world.click(board(place), held),
            Self::Cut(place) => world.cut(board(place)),
            Self::Freeze(place) => world.freeze(board(place)),
            Self::FreezeUplink(place) => world.freeze_uplink(board(place)),
            Self::FreezeDownlink(place) => world.freeze_downlink(board(place)),
            Self::Thaw(place) => world.thaw(board(place)),
            Self::Link(place, up) => world.set_link(board(place), up),
            Self::Network(network) => world.set_network(network),
            Self::BoardNetwork(place, network) => world.set_board_network(board(place), network),
            Self::RebootRouter(time) => world.reboot_router(time),
            Self::PowerOff(place) => world.power_off(board(place)),
            Self::PowerOn(place) => world.power_on(board(place)),
            Self::SaveAndCutPower(place, bytes) => {
                let board = board(place);
                world.cut_power_after(board, bytes);
                world.type_line(board, &format!("set name after-{bytes}"));
                world.type_line(board, "save");
            }
            Self::CutListener => world.cut(listener),
            Self::Kick(place) => world.kick(board(place)),
            Self::BrokerKicks(kicks) => world.set_broker_kicks(kicks),
            Self::StopBroker => world.stop_broker(),
            Self::KillBroker { keeps_memory: true } => world.kill_broker_keeping_memory(),
            Self::KillBroker { .. } => world.kill_broker(),
            Self::CrashBroker { keeps_memory: true } => world.crash_broker_keeping_memory(),
            Self::CrashBroker { .. } => world.crash_broker(),
            Self::StartBroker => world.start_broker(),
            Self::PauseBroker => world.pause_broker(),
            Self::ResumeBroker => world.resume_broker(),
            Self::BrokerPace(pace) => world.set_broker_pace(pace),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, then {:?}", self.deed, self.wait)
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Press(board, 1, _) => write!(f, "press on board {board}"),
            Self::Press(board, times, pause) => {
                write!(f, "{times} presses on board {board}, {pause:?} apart")
            }
            Self::Click(board, held) => write!(f, "button of board {board} closed for {held:?}"),
            Self::Cut(board) => write!(f, "connection of board {board} breaks"),
            Self::Freeze(board) => write!(f, "connection of board {board} goes silent"),
            Self::FreezeUplink(board) => write!(f, "nothing from board {board} arrives"),
            Self::FreezeDownlink(board) => write!(f, "nothing arrives at board {board}"),
            Self::Thaw(board) => write!(f, "connection of board {board} talks again"),
            Self::Link(board, true) => write!(f, "Wi-Fi of board {board} is there"),
            Self::Link(board, false) => write!(f, "Wi-Fi of board {board} is gone"),
            Self::Network(network) => write!(f, "network: {}", Shown(*network)),
            Self::BoardNetwork(board, network) => {
                write!(f, "network of board {board}: {}", Shown(*network))
            }
            Self::RebootRouter(time) => write!(f, "the router restarts, in {time:?}"),
            Self::PowerOff(board) => write!(f, "board {board} loses its power"),
            Self::PowerOn(board) => write!(f, "board {board} has power"),
            Self::SaveAndCutPower(board, bytes) => write!(
                f,
                "board {board} stores a setting and loses its power after {bytes} bytes"
            ),
            Self::CutListener => f.write_str("connection of the listener breaks"),
            Self::Kick(board) => write!(f, "the broker throws board {board} out"),
            Self::BrokerKicks(true) => f.write_str("the broker throws out whom it accepts"),
            Self::BrokerKicks(false) => f.write_str("the broker throws nobody out"),
            Self::StopBroker => f.write_str("the broker stops in good order, memory lost"),
            Self::KillBroker { keeps_memory } => {
                write!(f, "the broker is killed, memory {}", kept(*keeps_memory))
            }
            Self::CrashBroker { keeps_memory } => write!(
                f,
                "the broker's machine loses its power, memory {}",
                kept(*keeps_memory)
            ),
            Self::StartBroker => f.write_str("the broker starts"),
            Self::PauseBroker => f.write_str("the broker stands still"),
            Self::ResumeBroker => f.write_str("the broker goes on"),
            Self::BrokerPace(pace) => write!(f, "the broker needs {pace:?} for each input"),
        }
    }
}

const fn kept(keeps: bool) -> &'static str {
    if keeps { "kept" } else { "lost" }
}

/// A network for people.
pub(super) struct Shown(pub(super) Network);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let network = self.0;
        write!(f, "{:?} + {:?}", network.latency, network.jitter)?;
        if network.segment > 0 {
            write!(f, ", pieces of {} bytes", network.segment)?;
        }
        if network.loss > 0 {
            write!(f, ", {} of 1,000 lost", network.loss)?;
        }
        if network.reorder > 0 {
            write!(
                f,
                ", {} of 1,000 up to {:?} later",
                network.reorder, network.detour
            )?;
        }
        if network.bytes_per_second > 0 {
            write!(f, ", {} bytes/s", network.bytes_per_second)?;
        }
        Ok(())
    }
}
