//! WebSocket through every combination of HTTP versions, with clients and an origin of others.

use e2e::{Ending, Stage, WAYS, python};
use std::{
    io::{BufRead, BufReader, Read, Write},
    process::Stdio,
};

/// All of them at once: each has messages there and back, then a configuration is pushed, then messages again, and a close with a code.
#[test]
fn messages_and_closes_in_every_combination() {
    let mut origin = Ending(python("websocket_origin.py").stdout(Stdio::piped()).spawn().unwrap());
    let mut port = String::new();
    BufReader::new(origin.0.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let stage = Stage::start(&format!("127.0.0.1:{}", port.trim()));
    let ca = stage.authority.file().display().to_string();
    let mut clients = Vec::new();
    for way in WAYS {
        // HTTP/1 up, and HTTP/2 up by way of another listener.
        for host in ["one.test", "auto.test"] {
            let mut command = python("websocket.py");
            let address = if way.secure { stage.secure } else { stage.plain };
            command.arg(if way.multiplexed { "2" } else { "1" }).arg(address.port().to_string()).arg(host);
            command.args(way.secure.then_some(&ca)).stdin(Stdio::piped()).stdout(Stdio::piped());
            clients.push((way, host, Ending(command.spawn().unwrap())));
        }
    }
    let mut readers = Vec::new();
    for (way, host, client) in &mut clients {
        let mut reader = BufReader::new(client.0.stdout.take().unwrap());
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "{way:?} {host}");
        readers.push(reader);
    }
    stage.push("2");
    for ((way, host, client), mut reader) in clients.iter_mut().zip(readers) {
        client.0.stdin.take().unwrap().write_all(b"on\n").unwrap();
        let mut rest = String::new();
        reader.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "closed 4321\n", "{way:?} {host}");
    }
}
