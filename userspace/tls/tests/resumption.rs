//! Sessions taken up again: with tickets of one process, of several nodes, after keys have turned; and not, when who may come in has changed.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod common;

use std::sync::Arc;

use common::{Authority, Pair, World};
use tls::{Client, ClientAuthentication, Server, TICKET_KEYS_MAX, Tickets, Version};

const OLD: &str = "0000000000000000000000000000000000000000000000000000000000000001";
const NEW: &str = "0000000000000000000000000000000000000000000000000000000000000002";

/// Whether a client that comes twice is known the second time.
fn resumes(first: &Arc<Server>, second: &Arc<Server>, client: &Client) -> bool {
    let client = Arc::new(client.with_own_sessions());
    assert!(!connect(first, &client), "nobody is known the first time");
    connect(second, &client)
}

fn connect(server: &Arc<Server>, client: &Arc<Client>) -> bool {
    let mut pair = Pair::new(server, client);
    pair.connect().exchange(b"hello");
    let (server, client) = (pair.server.session.outcome().unwrap(), pair.client.session.outcome().unwrap());
    assert_eq!(server.resumed, client.resumed);
    server.resumed
}

fn world(version: Version, tickets: Option<Tickets>) -> World {
    let mut world = World::new();
    world.server.protocol.version_min = version;
    world.server.protocol.version_max = version;
    world.server.tickets = tickets.map(Arc::new);
    world
}

fn both_versions(test: impl Fn(Version)) {
    test(Version::Tls12);
    test(Version::Tls13);
}

#[test]
fn a_ticket_is_good_for_everybody_with_the_key() {
    both_versions(|version| {
        let (server, client) = world(version, None).compile();
        assert!(!resumes(&server, &server, &client), "without tickets");

        let mut world = world(version, Some(Tickets::random().unwrap()));
        let (server, client) = world.compile();
        assert!(resumes(&server, &server, &client));

        let mut node = |keys: &str| {
            world.server.tickets = Some(Arc::new(Tickets::from_text(keys).unwrap()));
            Arc::new(Server::compile(&world.server).unwrap())
        };
        assert!(resumes(&node(OLD), &node(OLD), &client), "another node with the same key");
        assert!(resumes(&node(OLD), &node(&format!("{NEW} # since today\n\n{OLD}\n")), &client), "a node that has the next key already");
        assert!(!resumes(&node(NEW), &node(OLD), &client), "a key it does not have");
    });
}

#[test]
fn a_client_that_wants_none_keeps_none() {
    both_versions(|version| {
        let mut world = world(version, Some(Tickets::random().unwrap()));
        world.client.sessions_max = 0;
        let (server, client) = world.compile();
        assert!(!resumes(&server, &server, &client));
    });
}

#[test]
fn the_client_takes_up_with_itself_only() {
    let world = world(Version::Tls13, Some(Tickets::random().unwrap()));
    let (server, client) = world.compile();
    assert!(!connect(&server, &client));
    assert!(!connect(&server, &Arc::new(client.with_own_sessions())), "the other one's sessions are its own");
    assert!(connect(&server, &client));
}

#[test]
fn sessions_kept_have_an_end() {
    both_versions(|version| {
        let mut world = world(version, Some(Tickets::random().unwrap()));
        world.client.verification = tls::Verification::None;
        // Rounded up to whole names of eight sessions each: one.
        world.client.sessions_max = 1;
        let (server, client) = world.compile();
        let visit = |name: &str| {
            let mut pair = Pair::new(&server, &client);
            pair.client = common::End::new(tls::Session::client(&client, name).unwrap());
            pair.connect();
            pair.client.session.outcome().unwrap().resumed
        };
        let visits = ["a.example.com", "a.example.com", "b.example.com", "a.example.com"].map(visit);
        assert_eq!(visits, [false, true, false, false], "the second name takes the first one's place");
    });
}

#[test]
fn turned_keys_open_until_they_are_gone() {
    both_versions(|version| {
        let tickets = Arc::new(Tickets::random().unwrap());
        let mut world = world(version, None);
        world.server.tickets = Some(Arc::clone(&tickets));
        let (server, client) = world.compile();
        for (turns, known) in [(1, true), (2, true), (3, false)] {
            let client = Arc::new(client.with_own_sessions());
            assert!(!connect(&server, &client));
            for _ in 0..turns {
                tickets.rotate().unwrap();
            }
            assert_eq!(connect(&server, &client), known, "{turns} turns");
        }
        tickets.replace(OLD).unwrap();
        assert!(resumes(&server, &server, &client), "keys from a file in place of them");
        assert!(tickets.replace("nonsense").is_err());
        assert!(resumes(&server, &server, &client), "a broken file changes nothing");
    });
}

#[test]
fn a_change_of_who_may_come_in_ends_all_sessions() {
    both_versions(|version| {
        let (ours, other) = (Authority::new("Ours"), Authority::new("Other"));
        let tickets = Arc::new(Tickets::random().unwrap());
        let mut world = world(version, None);
        world.server.tickets = Some(tickets);
        world.client.certificate = Some(ours.issue(&["client.example.com"]));
        let clients = |authorities: &[&Authority], optional: bool, names: &[&str]| {
            let pem: String = authorities.iter().map(|authority| authority.pem.as_str()).collect();
            Some(ClientAuthentication {
                optional,
                authorities: Arc::new(tls::Authorities::from_pem(pem.as_bytes()).unwrap()),
                revocations: Vec::new(),
                names: names.iter().map(|name| (*name).to_owned()).collect(),
            })
        };
        let client = Client::compile(&world.client).unwrap();
        let mut server = |clients| {
            world.server.clients = clients;
            Arc::new(Server::compile(&world.server).unwrap())
        };
        let now = server(clients(&[&ours], false, &[]));
        assert!(resumes(&now, &server(clients(&[&ours], false, &[])), &client), "the same settings compiled again");
        assert!(!resumes(&now, &server(clients(&[&ours, &other], false, &[])), &client), "another authority beside");
        assert!(!resumes(&now, &server(clients(&[&ours], true, &[])), &client), "another mode");
        assert!(!resumes(&now, &server(clients(&[&ours], false, &["*.example.com"])), &client), "names");
        assert!(!resumes(&server(None), &now, &client), "let in without a certificate before");
        assert!(resumes(&now, &now, &client));
    });
}

#[test]
fn a_resumed_client_is_who_it_was() {
    both_versions(|version| {
        let mut world = world(version, Some(Tickets::random().unwrap()));
        world.client.certificate = Some(world.authority.issue(&["client.example.com"]));
        world.server.clients = Some(ClientAuthentication {
            optional: false,
            authorities: world.authority.authorities(),
            revocations: Vec::new(),
            names: Vec::new(),
        });
        let (server, client) = world.compile();
        assert!(!connect(&server, &client));
        let mut pair = Pair::new(&server, &client);
        pair.connect();
        let outcome = pair.server.session.outcome().unwrap();
        assert!(outcome.resumed);
        let names = outcome.client.as_ref().unwrap().names();
        assert_eq!(names, [tls::AlternativeName::Dns("client.example.com".into())]);
    });
}

#[test]
fn key_files_are_read_or_refused() {
    let too_many = [OLD, "\n"].concat().repeat(TICKET_KEYS_MAX + 1);
    let table = [
        ("", "between 1 and 8 ticket keys are needed"),
        ("# none\n", "between 1 and 8 ticket keys are needed"),
        (too_many.as_str(), "between 1 and 8 ticket keys are needed"),
        (&OLD[1..], "line 1 is no ticket key: 64 hexadecimal digits"),
        ("\nzz00000000000000000000000000000000000000000000000000000000000000", "line 2 is no ticket key: 64 hexadecimal digits"),
    ];
    for (text, error) in table {
        assert_eq!(Tickets::from_text(text).unwrap_err().to_string(), error, "{text}");
    }
}
