//! What the scenarios found, each as small as it gets.

use std::time::Duration;

use declic_sim::{Network, Storage};

use super::{MINUTE, SECOND, connect_all, pair};

#[test]
fn a_light_follows_although_the_answer_to_an_earlier_connect_was_lost() {
    let mut memory = [Storage::new(), Storage::new()];
    let (mut world, publisher, subscriber) = pair(1, Network::default(), &mut memory, ["5", "5"]);
    // The broker forgets the session, and answers so late that the board has given up.
    world.kill_broker();
    world.start_broker();
    world.pause_broker();
    world.run_for(15 * SECOND);
    world.resume_broker();
    // Now it has a session for the board again, without subscriptions.
    connect_all(&mut world, &[publisher, subscriber]);
    world.press(publisher);
    assert!(
        world.run_until(SECOND, |world| world.led(subscriber)),
        "{}",
        world.timeline()
    );
    world.run_for(MINUTE + Duration::from_millis(1));
    assert!(world.led(subscriber));
}
