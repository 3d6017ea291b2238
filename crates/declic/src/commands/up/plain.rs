//! Lines out, lines in: for scripts, and where there is no terminal.

use declic_board::Notice;
use declic_broker::Effect;

use super::{Event, News, Report, Side, System, printable, system_error};
use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::host::console::{self, Command};
use crate::printer::Printer;

/// Prints events and obeys commands until it is told to quit.
pub(super) fn run(system: System, printer: &Printer) -> Result<ExitCode, Error> {
    let lines = system.sender.clone();
    let result = announce(&system, printer).and_then(|()| {
        console::read(move |line| lines.send(Event::Line(line)).is_ok())
            .map_err(|error| system_error(&error))?;
        Plain::new(&system, printer).run()
    });
    system.stop();
    result.map(|()| ExitCode::Success)
}

fn announce(system: &System, printer: &Printer) -> Result<(), Error> {
    if let Some(notice) = &system.notice {
        printer.note(notice);
    }
    for address in &system.addresses {
        printer.line(format_args!("listening on mqtt://{address}"))?;
    }
    if let Some(login) = &system.login {
        let (name, password) = (&login.name, &login.password);
        printer.line(format_args!(
            "clients log in as user {name} with password {password}"
        ))?;
    }
    Ok(())
}

struct Plain<'a> {
    system: &'a System,
    printer: &'a Printer,
    connected: [bool; 2],
    subscribed: bool,
    ready: bool,
    quitting: bool,
}

impl<'a> Plain<'a> {
    const fn new(system: &'a System, printer: &'a Printer) -> Self {
        Self {
            system,
            printer,
            connected: [false; 2],
            subscribed: false,
            ready: false,
            quitting: false,
        }
    }

    fn run(&mut self) -> Result<(), Error> {
        for event in &self.system.events {
            match event {
                Event::Board(
                    side,
                    Report {
                        news: News::Ended, ..
                    },
                ) => match side {
                    _ if !self.quitting => {
                        return Err(Error::new(ExitCode::Failure, "a board failed unexpectedly"));
                    }
                    Side::Publisher => self.system.subscriber.host.stop(),
                    Side::Subscriber => break,
                },
                Event::Board(side, report) => self.report(side, &report)?,
                Event::Client(_, effect) => self.client(&effect)?,
                Event::BrokerEnded(cause) => {
                    let failed = Error::new(ExitCode::Failure, "the broker has ended");
                    return Err(failed.because(cause.unwrap_or_default()));
                }
                Event::Line(Ok(Command::Quit)) | Event::Stop => {
                    // One after the other, so that all that was asked for before is done and
                    // printed: a status, the light after a press.
                    self.quitting = true;
                    self.system.publisher.host.stop();
                }
                Event::Line(Ok(command)) => self.obey(command)?,
                Event::Line(Err(error)) => self.printer.note(error),
                Event::Terminal(_) => {}
            }
        }
        Ok(())
    }

    fn obey(&mut self, command: Command) -> Result<(), Error> {
        let button = &self.system.publisher.host;
        match command {
            Command::Press => button.press(),
            Command::Hold(time) => button.hold(time),
            Command::Status => {
                for address in &self.system.addresses {
                    self.printer
                        .line(format_args!("status broker address=mqtt://{address}"))?;
                }
                button.ask();
            }
            Command::Quit => {}
        }
        Ok(())
    }

    fn report(&mut self, side: Side, report: &Report) -> Result<(), Error> {
        let name = side.as_str();
        let index = side as usize;
        match &report.news {
            News::Asked => {
                let id = &self.system.board(side).client_id;
                let status = report.status;
                if side == Side::Publisher {
                    // One after the other, so that the lines have an order.
                    self.system.subscriber.host.ask();
                }
                return self
                    .printer
                    .line(format_args!("status {name} client-id={id} {status}"));
            }
            News::Notice(Notice::Connected { .. }) => {
                self.connected[index] = true;
                self.printer.line(format_args!("{name} connected"))?;
            }
            News::Notice(Notice::Subscribed) => self.subscribed |= side == Side::Subscriber,
            News::Notice(Notice::Disconnected(_)) => {
                self.connected[index] = false;
                self.printer.line(format_args!("{name} {report}"))?;
            }
            News::Notice(Notice::Stopped) | News::Opening(_) | News::Ended => {}
            _ => self.printer.line(format_args!("{name} {report}"))?,
        }
        if !self.ready && self.subscribed && self.connected == [true; 2] {
            self.ready = true;
            self.printer.line("ready")?;
        }
        Ok(())
    }

    /// Tells of clients that are not the two boards.
    fn client(&self, effect: &Effect) -> Result<(), Error> {
        match effect {
            Effect::Connected {
                client_id, version, ..
            } if !self.system.is_own(client_id) => {
                let id = printable(client_id);
                self.printer
                    .line(format_args!("client {id} connected (MQTT {version})"))
            }
            Effect::Disconnected { client_id, reason } if !self.system.is_own(client_id) => {
                let id = printable(client_id);
                self.printer
                    .line(format_args!("client {id} disconnected: {reason}"))
            }
            _ => Ok(()),
        }
    }
}
