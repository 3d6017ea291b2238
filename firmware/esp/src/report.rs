//! What other tasks have to tell the board's task.

use core::fmt::{self, Write as _};

use declic_board::{LogLevel, ScanError};
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::channel::Channel;
use heapless::String;

use declic_glue::wake;

pub enum Report {
    /// For the log.
    Log(LogLevel, String<120>),
    /// How strongly the network is received, in dBm; `None` without one.
    Signal(Option<i8>),
    /// The network that [`net::join`](crate::net::join) was given is joined.
    Joined,
    /// A network was heard.
    Network {
        ssid: String<32>,
        rssi: i8,
        channel: u8,
        security: &'static str,
    },
    /// That were all networks.
    Scanned(Result<(), ScanError>),
}

/// Gives the board `report`, as soon as there is room for it.
pub async fn send(report: Report) {
    REPORTS.send(report).await;
    wake::board();
}

/// Gives the board a line for the log, cut where it is too long.
pub async fn log(level: LogLevel, text: fmt::Arguments<'_>) {
    let mut line = String::<120>::new();
    let _ = line.as_mut_view().write_fmt(text);
    send(Report::Log(level, line)).await;
}

/// The oldest report that was not taken yet.
pub fn take() -> Option<Report> {
    REPORTS.try_receive().ok()
}

static REPORTS: Channel<CriticalSectionRawMutex, Report, 3> = Channel::new();
