//! The command line as people and scripts use it: the built program, a broker in this process, and
//! sockets on loopback. Nothing here sleeps; everything waits with a limit.

mod broker;
mod documentation;
mod errors;
mod harness;
mod publish;
mod subscribe;
mod versions;
