//! A broker inside another program, until Enter is pressed.
//!
//! Run it with `cargo run -p declic-broker --example embedded`.

use std::error::Error;
use std::io;
use std::thread;

use declic_broker::{Broker, Config};

fn main() -> Result<(), Box<dyn Error>> {
    let broker = Broker::bind(Config::listening_on("127.0.0.1:0".parse()?))?;
    for address in broker.local_addrs() {
        println!("listening on mqtt://{address}");
    }
    let handle = broker.handle();
    let thread = thread::spawn(move || broker.run());

    io::stdin().read_line(&mut String::new())?;
    println!("{:#?}", handle.stats()?);

    handle.shutdown();
    thread.join().expect("the broker doesn't panic")?;
    Ok(())
}
