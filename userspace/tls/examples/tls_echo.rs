//! A small TLS server over blocking sockets, to let real clients at the sessions, and a client to let them at real servers.
//!
//! `cargo run --release -p tls --example tls_echo -- serve 127.0.0.1:8443 chain.pem key.pem [clients-ca.pem] [ticket-keys]` answers every HTTP/1 request with
//! 1 KiB (`/N`: N bytes) and echoes everything else; `-- ask 127.0.0.1:8443 NAME ca.pem` sends its standard input and prints what comes.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it talks to a person")]

use std::{
    io::{Error, Read, Write},
    net::{TcpListener, TcpStream},
    sync::Arc,
};

use buf::{Chunk, Output};
use tls::{Authorities, Certificate, Client, ClientAuthentication, ClientSettings, Server, ServerSettings, Session, Tickets, Verification};

type Result<T> = std::result::Result<T, Box<dyn core::error::Error>>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["serve", address, chain, key, ref rest @ ..] => serve(address, &server(chain, key, rest)?),
        ["ask", address, name, authorities] => ask(address, name, authorities),
        _ => Err("serve ADDRESS CHAIN KEY [CLIENTS-CA [TICKET-KEYS]] or ask ADDRESS NAME CA".into()),
    }
}

fn server(chain: &str, key: &str, rest: &[&str]) -> Result<Arc<Server>> {
    let certificate = Certificate::from_pem(&std::fs::read(chain)?, &std::fs::read(key)?, None)?;
    let mut settings = ServerSettings::new(vec![Arc::new(certificate)]);
    settings.alpn = vec![b"http/1.1".to_vec()];
    settings.tickets = Some(Arc::new(match rest.get(1) {
        Some(keys) => Tickets::from_text(&std::fs::read_to_string(keys)?)?,
        None => Tickets::random()?,
    }));
    if let Some(authorities) = rest.first().filter(|path| **path != "-") {
        let authorities = Arc::new(Authorities::from_pem(&std::fs::read(authorities)?)?);
        settings.clients = Some(ClientAuthentication { optional: false, authorities, revocations: Vec::new(), names: Vec::new() });
    }
    Ok(Arc::new(Server::compile(&settings)?))
}

fn serve(address: &str, server: &Arc<Server>) -> Result<()> {
    let listener = TcpListener::bind(address)?;
    println!("listening on {address}");
    for stream in listener.incoming() {
        let (stream, server) = (stream?, Arc::clone(server));
        std::thread::spawn(move || {
            if let Err(error) = answer(stream, Session::server(&server)) {
                eprintln!("connection: {error}");
            }
        });
    }
    Ok(())
}

/// Serves one connection until it ends.
fn answer(mut stream: TcpStream, mut session: Session) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut plain = Output::default();
    let mut told = false;
    let mut request = Vec::new();
    loop {
        let is_open = receive(&mut stream, &mut session, |bytes| request.extend_from_slice(bytes))?;
        if let (false, Some(outcome)) = (told, session.outcome()) {
            told = true;
            let client = outcome.client.as_ref().map(|client| client.subject());
            println!(
                "{} {} {} {:?} resumed {} client {client:?}",
                outcome.version.as_str(),
                outcome.suite,
                outcome.group,
                outcome.server_name,
                outcome.resumed
            );
        }
        reply(&mut request, &mut plain);
        let mut cipher = Output::default();
        session.seal(&mut plain, &mut cipher);
        if !is_open {
            session.finish(&mut cipher);
        }
        send(&mut stream, &mut cipher)?;
        if !is_open {
            return Ok(());
        }
    }
}

/// Answers each whole request head; what is none is echoed.
fn reply(request: &mut Vec<u8>, plain: &mut Output) {
    if !request.starts_with(b"GET ") {
        plain.push(Chunk::from(std::mem::take(request)));
        return;
    }
    while let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") {
        let head: Vec<u8> = request.drain(..end + 4).collect();
        let digits: String = head.iter().skip(5).map(|byte| char::from(*byte)).take_while(char::is_ascii_digit).collect();
        let length = digits.parse().unwrap_or(1024);
        plain.write(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n").as_bytes());
        plain.push(Chunk::from(vec![b'x'; length]));
    }
}

fn ask(address: &str, name: &str, authorities: &str) -> Result<()> {
    let authorities = Arc::new(Authorities::from_pem(&std::fs::read(authorities)?)?);
    let mut settings = ClientSettings::new(Verification::Name(authorities));
    settings.alpn = vec![b"http/1.1".to_vec()];
    let client = Arc::new(Client::compile(&settings)?);
    let mut request = Vec::new();
    std::io::stdin().read_to_end(&mut request)?;
    for _ in 0..2 {
        let mut session = Session::client(&client, name).map_err(|fault| Error::other(fault.cause.text()))?;
        let mut stream = TcpStream::connect(address)?;
        let mut cipher = Output::default();
        session.transmit(&mut cipher);
        send(&mut stream, &mut cipher)?;
        let mut plain = Output::default();
        plain.write(&request);
        while receive(&mut stream, &mut session, |bytes| print!("{}", String::from_utf8_lossy(bytes)))? {
            session.seal(&mut plain, &mut cipher);
            send(&mut stream, &mut cipher)?;
        }
        println!("\n{:?} resumed {:?}", session.outcome().map(|outcome| outcome.version), session.outcome().map(|outcome| outcome.resumed));
        session.finish(&mut cipher);
        send(&mut stream, &mut cipher)?;
    }
    Ok(())
}

/// Waits for bytes and gives what is in them to `take`; false at the end. What the session has to say is sent.
fn receive(stream: &mut TcpStream, session: &mut Session, mut take: impl FnMut(&[u8])) -> std::io::Result<bool> {
    let mut buffer = vec![0; 64 * 1024];
    let length = stream.read(&mut buffer)?;
    if length == 0 {
        return if session.has_ended() { Ok(false) } else { Err(Error::other("truncated")) };
    }
    buffer.truncate(length);
    let mut input = Chunk::from(buffer);
    let result = loop {
        match session.receive(&mut input) {
            Ok(Some(plain)) => take(&plain),
            Ok(None) => break Ok(!session.has_ended()),
            Err(fault) => break Err(Error::other(fault.cause.text())),
        }
    };
    let mut output = Output::default();
    session.transmit(&mut output);
    send(stream, &mut output)?;
    result
}

fn send(stream: &mut TcpStream, output: &mut Output) -> std::io::Result<()> {
    output.take(Vec::new()).iter().try_for_each(|piece| stream.write_all(piece))
}
