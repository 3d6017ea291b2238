//! The command line as people and scripts use it: the built program, a broker in this process, and
//! sockets on loopback. Nothing here sleeps; everything waits with a limit.

#[cfg(unix)]
mod bridge;
mod broker;
#[cfg(unix)]
mod control;
mod documentation;
mod errors;
mod harness;
mod publish;
#[cfg(unix)]
mod service;
mod subscribe;
mod versions;
