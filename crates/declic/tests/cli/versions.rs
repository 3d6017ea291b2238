//! Brokers that speak one version only, and servers that are none, played by the test.

use std::io::{Read, Write as _};
use std::net::{TcpListener, TcpStream};

use crate::harness::{Process, declic};

/// Reads a packet whose first byte is `first`; its length must fit in one byte.
pub fn read_packet(stream: &mut TcpStream, first: u8) -> Vec<u8> {
    stream
        .set_read_timeout(Some(crate::harness::LIMIT))
        .expect("a limit");
    let mut packet = vec![0; 2];
    stream.read_exact(&mut packet).expect("a packet");
    assert_eq!(packet[0], first);
    assert!(packet[1] < 128);
    packet.resize(2 + usize::from(packet[1]), 0);
    stream.read_exact(&mut packet[2..]).expect("a whole packet");
    packet
}

/// Where CONNECT says the version.
const LEVEL: usize = 8;

/// A listener, and `declic pub` on its way there.
fn publish(flags: &[&str]) -> (TcpListener, Process) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port().to_string();
    let at = [
        "pub",
        "-h",
        "127.0.0.1",
        "-p",
        &port,
        "-t",
        "a",
        "-m",
        "x",
        "-q",
        "1",
    ];
    let process = Process::start(declic(&[&at[..], flags].concat()));
    (listener, process)
}

/// Takes the next connection, which must ask for `level`, and answers it.
fn answer(listener: &TcpListener, level: u8, answer: &[u8]) -> TcpStream {
    let (mut stream, _) = listener.accept().expect("a client");
    let connect = read_packet(&mut stream, 0x10);
    assert_eq!(connect[LEVEL], level);
    stream.write_all(answer).expect("it reads");
    stream
}

/// Serves a client of 3.1.1 to its end.
fn serve(listener: &TcpListener, process: &mut Process) {
    let mut stream = answer(listener, 4, &[0x20, 2, 0, 0]);
    let publish = read_packet(&mut stream, 0x32);
    assert_eq!(publish[2..5], [0, 1, b'a']);
    let puback = [0x40, 2, publish[5], publish[6]];
    stream.write_all(&puback).expect("it reads");
    assert_eq!(read_packet(&mut stream, 0xe0), [0xe0, 0]);
    drop(stream);
    assert_eq!(process.end(), (0, vec![]));
}

#[test]
fn a_refusal_of_5_0_leads_to_3_1_1() {
    for refusal in [&[0x20, 2, 0, 1][..], &[0x20, 3, 0, 0x84, 0]] {
        let (listener, mut process) = publish(&[]);
        drop(answer(&listener, 5, refusal));
        serve(&listener, &mut process);
    }
}

#[test]
fn two_closes_without_an_answer_lead_to_3_1_1() {
    let (listener, mut process) = publish(&[]);
    drop(answer(&listener, 5, b""));
    drop(answer(&listener, 5, b""));
    serve(&listener, &mut process);
}

#[test]
fn a_version_that_was_asked_for_is_the_only_one() {
    let (listener, mut process) = publish(&["-V", "5"]);
    drop(answer(&listener, 5, &[0x20, 3, 0, 0x84, 0]));
    let error = process.expect_diagnostic("error: ");
    assert!(
        error.contains("It does not speak MQTT 5.0; leave -V out"),
        "{error}"
    );
    assert_eq!(process.end(), (4, vec![]));
}

#[test]
fn a_server_that_is_no_broker_is_said() {
    for (sent, expected) in [
        (
            &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            "what it says is not MQTT",
        ),
        (b"", "it closed the connection without an answer"),
    ] {
        let (listener, mut process) = publish(&["-V", "311"]);
        drop(answer(&listener, 4, sent));
        let error = process.expect_diagnostic("error: no connection to the broker at ");
        assert!(error.contains(expected), "{error}");
        assert_eq!(process.end(), (3, vec![]));
    }
}

#[test]
fn a_refused_message_is_1() {
    let (listener, mut process) = publish(&["-V", "5"]);
    let mut stream = answer(&listener, 5, &[0x20, 3, 0, 0, 0]);
    let publish = read_packet(&mut stream, 0x32);
    let puback = [0x40, 3, publish[5], publish[6], 0x87];
    stream.write_all(&puback).expect("it reads");
    assert_eq!(
        process.expect_diagnostic("error: "),
        "error: the broker refused the message on a: not authorized (0x87). This user may not \
         publish there."
    );
    assert_eq!(process.end(), (1, vec![]));
}

#[test]
fn a_refused_subscription_is_1() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port().to_string();
    let flags = ["sub", "-h", "127.0.0.1", "-p", &port, "-t", "a", "-V", "5"];
    let mut process = Process::start(declic(&flags));
    let mut stream = answer(&listener, 5, &[0x20, 3, 0, 0, 0]);
    let subscribe = read_packet(&mut stream, 0x82);
    let suback = [0x90, 4, subscribe[2], subscribe[3], 0, 0x87];
    stream.write_all(&suback).expect("it reads");
    let error = process.expect_diagnostic("error: ");
    assert!(
        error.contains("refused the subscription to a: not authorized (0x87)"),
        "{error}"
    );
    // It says goodbye before it ends.
    assert_eq!(read_packet(&mut stream, 0xe0), [0xe0, 0]);
    drop(stream);
    assert_eq!(process.end(), (1, vec![]));
}

#[test]
fn a_connection_cut_before_the_acknowledgement_is_1() {
    let (listener, mut process) = publish(&[]);
    let mut stream = answer(&listener, 5, &[0x20, 3, 0, 0, 0]);
    read_packet(&mut stream, 0x32);
    drop(stream);
    let error = process.expect_diagnostic("error: ");
    assert!(
        error.contains("ended too early: the connection was lost"),
        "{error}"
    );
    assert_eq!(process.end(), (1, vec![]));
}

#[test]
fn a_session_that_is_taken_over_is_not_fought_for() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port().to_string();
    let flags = ["sub", "-h", "127.0.0.1", "-p", &port, "-t", "a"];
    let mut process = Process::start(declic(&flags));
    let mut stream = answer(&listener, 5, &[0x20, 3, 0, 0, 0]);
    read_packet(&mut stream, 0x82);
    stream.write_all(&[0xe0, 2, 0x8e, 0]).expect("it reads");
    let error = process.expect_diagnostic("error: ");
    assert!(
        error.contains("Another client has the same client id"),
        "{error}"
    );
    assert_eq!(process.end(), (1, vec![]));
}
