//! `declic sim speed`: how fast time passes in the simulator.

use std::time::{Duration, Instant};

use declic_sim::{Network, Settings, Storage, World};

use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::printer::Printer;

/// Measure how much simulated time passes in a second
///
/// A button's board, a light's board and a broker, all with their default settings; 20 presses a
/// day. One processor is used.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Days to simulate
    #[arg(long, value_name = "N", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: u32,
}

pub fn run(args: &Args, printer: &Printer) -> Result<ExitCode, Error> {
    let mut memory = [Storage::new(), Storage::new()];
    let mut world = World::new(1, Network::default(), &mut memory).without_timeline();
    let add = |world: &mut World<'_>, role| {
        let mut settings = Settings::default();
        settings.set("role", role).expect("a role");
        world.add_board(role, settings)
    };
    let button = add(&mut world, "publisher");
    let light = add(&mut world, "subscriber");
    let started = Instant::now();
    for _ in 0..u64::from(args.days) * PRESSES_A_DAY {
        world.run_for(DAY / PRESSES_A_DAY as u32);
        world.click(button, Duration::from_millis(120));
    }
    world.run_for(Duration::from_secs(1));
    let took = started.elapsed().as_secs_f64();
    let days = f64::from(args.days);
    let changes = world.counters(light).light_changes;
    printer.line(format_args!(
        "{days} days in {took:.2} s: {:.0} days in a second, {:.0} million happenings in a second",
        days / took,
        world.handled() as f64 / took / 1e6,
    ))?;
    if changes != u64::from(args.days) * PRESSES_A_DAY {
        let what = format!("the light changed {changes} times");
        return Err(Error::new(ExitCode::Failure, what));
    }
    Ok(ExitCode::Success)
}

const PRESSES_A_DAY: u64 = 20;
const DAY: Duration = Duration::from_secs(86_400);
