//! The smuggling corpus, each entry with exactly what becomes of it, whole and at every split.

#![expect(clippy::unwrap_used, reason = "a test may fail")]
extern crate alloc;

mod common;

use alloc::collections::BTreeSet;

use buf::{Chunk, Output};
use common::{answer, client, corpus, drain, server, show};
use h1::{Connection, Settings};
use model::{Fault, Method, Part};

/// Forwards what `from` understands of `pieces` to fresh codecs of the other side, and notes what they write.
fn verdict(mut from: Connection, pieces: &[&[u8]], to: impl Fn() -> Connection, is_server: bool) -> Vec<String> {
    let (mut verdict, mut onward, mut output) = (Vec::new(), to(), Output::default());
    let mut parts = |from: &mut Connection, piece: &[u8]| -> Result<(), Fault> {
        let mut input = Chunk::copy_of(piece);
        while let Some(part) = from.receive(&mut input)? {
            let end = part.is_end();
            if matches!(&part, Part::Head(head) if head.request().is_some_and(|line| line.method == Method::Connect)) {
                // It is ended here, never sent on.
                continue;
            }
            onward.send(part, &mut output).unwrap();
            if end {
                verdict.push(format!("> {}", show(&drain(&mut output))));
                onward = to();
                if is_server {
                    answer(from, &mut Output::default());
                }
            }
        }
        Ok(())
    };
    let fault = pieces.iter().find_map(|piece| parts(&mut from, piece).err());
    let half = drain(&mut output);
    if !half.is_empty() {
        verdict.push(format!("/ {}", show(&half)));
    }
    verdict.push(match fault {
        Some(fault) => format!("! {} {}", fault.cause.status(), fault.cause.reason()),
        None if from.can_reuse() => ".".into(),
        None if from.must_close() => "x".into(),
        None => "~".into(),
    });
    verdict
}

fn case_verdict(case: &corpus::Case, pieces: &[&[u8]]) -> Vec<String> {
    match &case.method {
        None => verdict(server(), pieces, || Connection::client(Settings::default()), true),
        Some(method) => verdict(client(method), pieces, || asked(method), false),
    }
}

/// A server that owes the answer to a request of this method.
fn asked(method: &str) -> Connection {
    let mut connection = server();
    connection.receive(&mut Chunk::from(format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n").as_str())).unwrap();
    connection
}

#[test]
fn each_has_its_verdict() {
    let cases = corpus::cases();
    assert!(cases.len() >= 100, "{}", cases.len());
    assert_eq!(cases.iter().map(|case| &case.what).collect::<BTreeSet<_>>().len(), cases.len(), "names are unique");
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            let got = case_verdict(case, &[&case.input]);
            (got != case.verdict).then(|| format!("= {}\n{}", case.what, got.join("\n")))
        })
        .collect();
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n\n"));
}

/// The verdict without what a split may change: how content is cut into chunks.
fn without_chunks(verdict: &[String]) -> Vec<String> {
    verdict.iter().filter(|line| !line.contains("transfer-encoding: chunked") || line.starts_with('!')).cloned().collect()
}

#[test]
fn a_split_changes_no_verdict() {
    for case in corpus::cases() {
        let whole = without_chunks(&case.verdict);
        for at in 1..case.input.len() {
            let (first, second) = case.input.split_at(at);
            assert_eq!(without_chunks(&case_verdict(&case, &[first, second])), whole, "{} at {at}", case.what);
        }
        let single: Vec<&[u8]> = case.input.chunks(1).collect();
        assert_eq!(without_chunks(&case_verdict(&case, &single)), whole, "{} byte by byte", case.what);
    }
}
