//! What TLS costs, in memory and alone: handshakes by kind, records by size, bytes of an idle connection; beside them rustls' own record layer, which ours
//! stands in place of. `cargo run --release -p tls --example cost`. CPU time of this thread; compare figures of one run only.
#![expect(clippy::print_stdout, reason = "it talks to a person")]
#![expect(clippy::unwrap_used, reason = "a measurement may fail")]

use std::{
    hint::black_box,
    io::{Read, Write},
    sync::Arc,
    time::Duration,
};

use buf::{Chunk, Output};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, SignatureAlgorithm};
use rustix::time::{ClockId, clock_gettime};
use rustls::{ServerConfig, ServerConnection, crypto::aws_lc_rs, pki_types::PrivateKeyDer, server::NoServerSessionStorage};
use tls::{Authorities, Certificate, Client, ClientSettings, Server, ServerSettings, Session, Tickets, Verification, Version};

// What the product runs on.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const NAME: &str = "shop.example.com";
const HANDSHAKES: u32 = 1000;
const CONNECTIONS: usize = 2000;
const CERTIFICATES: usize = 10_000;
const RECORD_BYTES: u64 = 200_000_000;
/// Records between two looks at the clock.
const BATCH: u32 = 32;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => ["handshakes", "records", "memory", "certificates"].into_iter().for_each(again),
        ["handshakes"] => handshakes(),
        ["records"] => records(),
        ["memory"] => memory(),
        ["certificates"] => certificates(),
        ["memory", what] => println!("{what:40} {:8}", memory_of(what)),
        _ => println!("nothing, or one of: handshakes, records, memory, certificates"),
    }
}

/// In a process of its own, whose memory nothing has touched.
fn again(arguments: &str) {
    let program = std::env::current_exe().unwrap();
    assert!(std::process::Command::new(program).args(arguments.split(' ')).status().unwrap().success());
}

struct Sides {
    server: Arc<Server>,
    client: Arc<Client>,
    rustls: Arc<ServerConfig>,
}

fn sides(version: Version, group: &str, algorithm: &'static SignatureAlgorithm) -> Sides {
    let key = KeyPair::generate_for(algorithm).unwrap();
    let certificate = CertificateParams::new(vec![NAME.to_owned()]).unwrap().self_signed(&key).unwrap();
    let pem = certificate.pem();
    let ours = Certificate::from_pem(pem.as_bytes(), key.serialize_pem().as_bytes(), None).unwrap();
    let mut server = ServerSettings::new(vec![Arc::new(ours)]);
    server.protocol.version_min = version;
    server.protocol.version_max = version;
    server.protocol.groups = vec![group.to_owned()];
    server.protocol.suites = suites();
    server.tickets = Some(Arc::new(Tickets::random().unwrap()));
    server.alpn = vec![b"http/1.1".to_vec()];
    let authorities = Authorities::from_pem(pem.as_bytes()).unwrap();
    let mut client = ClientSettings::new(Verification::Name(Arc::new(authorities)));
    client.protocol.groups = vec![group.to_owned()];
    client.protocol.suites = suites();
    client.alpn = vec![b"http/1.1".to_vec()];
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites.retain(|suite| format!("{:?}", suite.suite()).contains("AES_128"));
    let versions: &[&rustls::SupportedProtocolVersion] =
        if version == Version::Tls13 { &[&rustls::version::TLS13] } else { &[&rustls::version::TLS12] };
    let rustls = ServerConfig::builder_with_provider(Arc::new(provider)).with_protocol_versions(versions).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let mut rustls = rustls.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
    rustls.session_storage = Arc::new(NoServerSessionStorage {});
    Sides {
        server: Arc::new(Server::compile(&server).unwrap()),
        client: Arc::new(Client::compile(&client).unwrap()),
        rustls: Arc::new(rustls),
    }
}

fn suites() -> Vec<String> {
    ["TLS_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"].map(Into::into).into()
}

fn handshakes() {
    println!("{:40} {:>8} {:>8}", "handshakes, us", "server", "both");
    for (version, group) in [(Version::Tls13, "X25519"), (Version::Tls13, "X25519MLKEM768"), (Version::Tls12, "X25519")] {
        handshakes_of(version, group);
    }
}

fn handshakes_of(version: Version, group: &str) {
    let algorithms: [(&str, &'static SignatureAlgorithm); 2] = [("ECDSA P-256", &PKCS_ECDSA_P256_SHA256), ("RSA-2048", &PKCS_RSA_SHA256)];
    for (name, algorithm) in algorithms {
        let sides = sides(version, group, algorithm);
        handshake_row(&format!("{} {group} {name}", version.as_str()), &sides, false);
        if algorithm == &PKCS_ECDSA_P256_SHA256 {
            handshake_row(&format!("{} {group} resumed", version.as_str()), &sides, true);
        }
    }
}

fn handshake_row(what: &str, sides: &Sides, resumed: bool) {
    let mut server_time = Duration::ZERO;
    let started = Cpu::now();
    let kept = Arc::new(sides.client.with_own_sessions());
    for round in 0..HANDSHAKES {
        let client = if resumed { Arc::clone(&kept) } else { Arc::new(sides.client.with_own_sessions()) };
        let (server, _) = connect(&sides.server, &client, &mut server_time);
        assert!(round == 0 || server.outcome().unwrap().resumed == resumed);
    }
    let both = started.elapsed();
    println!("{what:40} {:8.1} {:8.1}", micros(server_time), micros(both));
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6 / f64::from(HANDSHAKES)
}

/// Two sessions that have met, and what the server's side of it took.
fn connect(server: &Arc<Server>, client: &Arc<Client>, server_time: &mut Duration) -> (Session, Session) {
    let (mut up, mut down) = (Output::default(), Output::default());
    let mut client = Session::client(client, NAME).unwrap();
    let started = Cpu::now();
    let mut server = Session::server(server);
    *server_time += started.elapsed();
    loop {
        client.transmit(&mut up);
        let started = Cpu::now();
        take(&mut server, &mut up);
        server.transmit(&mut down);
        *server_time += started.elapsed();
        if down.is_empty() {
            return (server, client);
        }
        take(&mut client, &mut down);
    }
}

fn take(session: &mut Session, input: &mut Output) {
    for mut chunk in input.take(Vec::new()) {
        while let Some(plain) = session.receive(&mut chunk).unwrap() {
            black_box(&plain[..]);
        }
    }
}

fn records() {
    println!("{:21} {:>8} {:>8} {:>14} {:>8}", "records, ns", "seal", "open", "rustls: seal", "open");
    for version in [Version::Tls13, Version::Tls12] {
        for bytes in [64, 1024, 4096, 16384] {
            records_of(version, bytes);
        }
    }
}

fn records_of(version: Version, bytes: usize) {
    let sides = sides(version, "X25519", &PKCS_ECDSA_P256_SHA256);
    let batches = u32::try_from(RECORD_BYTES / (bytes as u64 + 1000)).unwrap() / BATCH;
    let (mut server, mut client) = connect(&sides.server, &sides.client, &mut Duration::default());
    let plain = Chunk::from(vec![b'x'; bytes]);
    let (mut seal, mut open) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..batches {
        let started = Cpu::now();
        let mut records: Vec<Chunk> = (0..BATCH).map(|_| sealed(&mut client, &plain)).collect();
        seal += started.elapsed();
        let started = Cpu::now();
        for record in &mut records {
            black_box(server.receive(record).unwrap());
        }
        open += started.elapsed();
    }
    let (rustls_seal, rustls_open) = rustls_records(&sides, &plain, batches);
    let each = |time: Duration| time.as_secs_f64() * 1e9 / f64::from(batches * BATCH);
    let (seal, open, rustls_seal, rustls_open) = (each(seal), each(open), each(rustls_seal), each(rustls_open));
    println!("{} {bytes:6} bytes {seal:8.0} {open:8.0} {rustls_seal:14.0} {rustls_open:8.0}", version.as_str());
}

/// One record.
fn sealed(session: &mut Session, plain: &Chunk) -> Chunk {
    let (mut input, mut output) = (Output::default(), Output::default());
    input.push(plain.clone());
    session.seal(&mut input, &mut output);
    output.take(Vec::new()).pop().unwrap()
}

/// The same by rustls' own connection with its buffers: `write_tls` and `read_tls` from and to memory.
fn rustls_records(sides: &Sides, plain: &Chunk, batches: u32) -> (Duration, Duration) {
    let (mut server, mut client) = rustls_connection(sides);
    let (mut seal, mut open) = (Duration::ZERO, Duration::ZERO);
    let mut buffer = vec![0; plain.len()];
    for _ in 0..batches {
        let records: Vec<Chunk> = (0..BATCH).map(|_| sealed(&mut client, plain)).collect();
        let started = Cpu::now();
        for record in &records {
            let mut bytes = &record[..];
            while !bytes.is_empty() {
                server.read_tls(&mut bytes).unwrap();
                server.process_new_packets().unwrap();
            }
            server.reader().read_exact(&mut buffer).unwrap();
        }
        open += started.elapsed();
        let started = Cpu::now();
        for _ in 0..BATCH {
            let mut wire = Vec::with_capacity(plain.len() + 64);
            server.writer().write_all(plain).unwrap();
            while server.wants_write() {
                server.write_tls(&mut wire).unwrap();
            }
            black_box(wire);
        }
        seal += started.elapsed();
    }
    (seal, open)
}

fn rustls_connection(sides: &Sides) -> (ServerConnection, Session) {
    let mut server = ServerConnection::new(Arc::clone(&sides.rustls)).unwrap();
    let mut client = Session::client(&Arc::new(sides.client.with_own_sessions()), NAME).unwrap();
    let mut output = Output::default();
    while server.is_handshaking() || server.wants_write() {
        client.transmit(&mut output);
        let bytes = flatten(&mut output);
        let mut bytes = &bytes[..];
        while !bytes.is_empty() {
            server.read_tls(&mut bytes).unwrap();
            server.process_new_packets().unwrap();
        }
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        output.write(&wire);
        take(&mut client, &mut output);
    }
    (server, client)
}

fn flatten(output: &mut Output) -> Vec<u8> {
    output.take(Vec::new()).iter().flat_map(|piece| piece.to_vec()).collect()
}

fn memory() {
    println!("a Session is {} bytes; with all that it holds, bytes of RSS:", size_of::<Session>());
    for what in [
        "TLSv1.3-begun",
        "TLSv1.3-server",
        "TLSv1.3-client",
        "TLSv1.3-rustls",
        "TLSv1.2-begun",
        "TLSv1.2-server",
        "TLSv1.2-client",
        "TLSv1.2-rustls",
    ] {
        again(&format!("memory {what}"));
    }
}

fn memory_of(what: &str) -> usize {
    let (version, what) = what.split_once('-').unwrap();
    let version = if version == "TLSv1.3" { Version::Tls13 } else { Version::Tls12 };
    let sides = sides(version, "X25519", &PKCS_ECDSA_P256_SHA256);
    let meet = || connect(&sides.server, &sides.client, &mut Duration::default());
    match what {
        "begun" => per_connection(|| Session::server(&sides.server)),
        "server" => per_connection(|| meet().0),
        "client" => per_connection(|| meet().1),
        _ => per_connection(|| rustls_connection(&sides).0),
    }
}

/// CPU time of this thread, since others may be at work on the machine.
struct Cpu(Duration);

impl Cpu {
    fn now() -> Self {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Self(Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap()))
    }

    fn elapsed(&self) -> Duration {
        Self::now().0.saturating_sub(self.0)
    }
}

fn certificates() {
    let algorithms: [(&str, &'static SignatureAlgorithm); 2] = [("ECDSA P-256", &PKCS_ECDSA_P256_SHA256), ("RSA-2048", &PKCS_RSA_SHA256)];
    for (name, algorithm) in algorithms {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let pems: Vec<String> = (0..CERTIFICATES)
            .map(|at| CertificateParams::new(vec![format!("host{at}.example.com")]).unwrap().self_signed(&key).unwrap().pem())
            .collect();
        let key = key.serialize_pem();
        let before = resident();
        let started = Cpu::now();
        let read = |pem: &String| Arc::new(Certificate::from_pem(pem.as_bytes(), key.as_bytes(), None).unwrap());
        let certificates: Vec<_> = pems.iter().map(read).collect();
        let read = started.elapsed();
        let settings = ServerSettings::new(certificates);
        let started = Cpu::now();
        let server = Server::compile(&settings).unwrap();
        let compiled = started.elapsed();
        let bytes = (resident() - before) / CERTIFICATES;
        let each = read.as_secs_f64() * 1e6 / f64::from(u32::try_from(CERTIFICATES).unwrap());
        println!("{CERTIFICATES} certificates, {name}: {each:.1} us to read one, {compiled:?} to compile all, {bytes} bytes of RSS each");
        drop(server);
    }
}

/// How much the process grows by each of many.
fn per_connection<T>(make: impl Fn() -> T) -> usize {
    let mut kept: Vec<T> = (0..CONNECTIONS / 4).map(|_| make()).collect();
    let before = resident();
    kept.extend((0..CONNECTIONS).map(|_| make()));
    let after = resident();
    after.saturating_sub(before) / CONNECTIONS
}

/// Bytes of memory this process has.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
}
