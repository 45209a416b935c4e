//! Who is probed, when, and what is made of the answers.

use core::time::Duration;
use std::path::Path;

use config::{Cluster, Endpoint, Snapshot, compile, load_text};
use l4::{Door, Probes, Target};

const TEXT: &str = "
version: 1
l4: { pools: { out: { addresses: [10.8.0.1] } } }
clusters:
  edge: { endpoints: [10.0.1.1, 10.0.1.2], health: [{ tcp: {}, interval: 2s, timeout: 1s, rise: 2, fall: 3 }] }
  quic: { endpoints: [10.0.2.1], health: [{ tcp: {} }] }
  admin: { endpoints: [10.0.3.1], health: [{ tcp: {}, port: 9000 }] }
  pg: { endpoints: ['10.0.4.1:5432'], health: [{ tcp: {} }] }
  free: { endpoints: [10.0.5.1] }
vips:
  shop: { addresses: [203.0.113.10, '2001:db8::10'], ports: [tcp/443, tcp/8000-8009, udp/443], dsr: ipip, to: edge }
  quic: { addresses: [203.0.113.11], ports: [udp/443], dsr: gue, to: quic }
  admin: { addresses: [203.0.113.12], ports: [all], dsr: l2, to: admin }
  pg: { addresses: [203.0.113.13], ports: [tcp/6000], nat: out, to: pg }
  straight: { addresses: [203.0.113.14], ports: [tcp/81], dsr: l2, probe: direct, to: quic }
  free: { addresses: [203.0.113.15], ports: [tcp/80], dsr: l2, to: free }
";

fn snapshot(text: &str) -> Snapshot {
    let loaded = load_text(Path::new("/etc/sluice.yaml"), text).expect("YAML");
    compile(&loaded, None).unwrap_or_else(|rejections| panic!("{}", rejections[0]))
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Probes of a configuration whose every endpoint was up, and what is due once all have had their turn.
fn all_due(text: &str) -> (Probes, Snapshot, Vec<(Target, Duration)>) {
    let snapshot = snapshot(text);
    let mut probes = Probes::default();
    probes.take(&snapshot, &|_, _| true, s(100));
    let due = probes.due(s(102), usize::MAX);
    (probes, snapshot, due)
}

fn endpoint<'a>(snapshot: &'a Snapshot, cluster: &str, place: usize) -> (&'a Cluster, &'a Endpoint) {
    let cluster = snapshot.clusters().find(|one| &*one.name == cluster).expect("it is there");
    (cluster, &cluster.endpoints[place])
}

#[test]
fn every_way_is_asked() {
    let (_, _, due) = all_due(TEXT);
    let mut asked: Vec<String> =
        due.iter().map(|(target, _)| format!("{} {} {} {:?}", target.vip, target.endpoint, target.address, target.door)).collect();
    asked.sort();
    let direct = |address: &str| format!("{:?}", Door::Direct(address.parse().expect("an address")));
    assert_eq!(
        asked,
        [
            "admin 10.0.3.1 203.0.113.12 Tcp(9000)".to_owned(),
            format!("pg 10.0.4.1:5432 203.0.113.13 {}", direct("10.0.4.1:5432")),
            "quic 10.0.2.1 203.0.113.11 Echo".to_owned(),
            "shop 10.0.1.1 2001:db8::10 Tcp(443)".to_owned(),
            "shop 10.0.1.1 203.0.113.10 Tcp(443)".to_owned(),
            "shop 10.0.1.2 2001:db8::10 Tcp(443)".to_owned(),
            "shop 10.0.1.2 203.0.113.10 Tcp(443)".to_owned(),
            format!("straight 10.0.2.1 203.0.113.14 {}", direct("10.0.2.1:81")),
        ]
    );
}

/// What takes a connection is asked of the same doors; two checks of one door are two targets.
#[test]
fn questions_are_asked_beside() {
    let text = TEXT.replace("9000 }]", "9000 }, { http: /a, port: 9000 }, { http: /b, port: 9000 }]");
    let (probes, snapshot, due) = all_due(&text);
    let asked = |cluster: &str| {
        let of_cluster = due.iter().map(|(target, _)| target).filter(|target| &*target.cluster == cluster);
        of_cluster.map(|target| (target.door, probes.question(target).map(|(slot, check)| (slot, check.kind.clone())))).collect::<Vec<_>>()
    };
    let (admin, _) = endpoint(&snapshot, "admin", 0);
    let question = |number: usize| Some((admin.slot, admin.health[number].kind.clone()));
    assert_eq!(asked("admin"), [(Door::Tcp(9000), None), (Door::Tcp(9000), question(1)), (Door::Tcp(9000), question(2))]);
    assert_eq!(asked("pg"), [(Door::Direct("10.0.4.1:5432".parse().expect("an address")), None)]);
    // Who could not be asked is asked again, and nothing is made of it.
    let mut probes = probes;
    let target = &due[0].0;
    probes.put_off(target, s(103));
    assert_eq!((probes.next(), probes.due(s(103), usize::MAX).len()), (Some(s(103)), 1));
}

#[test]
fn rise_and_fall_decide() {
    let (mut probes, snapshot, due) = all_due(TEXT);
    let (cluster, first) = endpoint(&snapshot, "edge", 0);
    let mine: Vec<&Target> = due.iter().map(|(target, _)| target).filter(|target| target.endpoint == first.name).collect();
    let [one, other] = mine[..] else { panic!("{mine:?}") };
    // Answers of one target and of the other, what they turn, and whether the endpoint is up then.
    for (step, (target, answered, turned, is_up)) in [
        (one, false, None, true),
        (one, true, None, true),
        (one, false, None, true),
        (one, false, None, true),
        (one, false, Some(false), false),
        (other, false, None, false),
        (other, false, None, false),
        (other, false, None, false),
        (one, true, None, false),
        (one, true, None, false),
        (other, true, None, false),
        (other, true, Some(true), true),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(probes.answer(target, answered, s(103)), turned, "step {step}");
        assert_eq!(probes.is_up(cluster, first), is_up, "step {step}");
        assert!(probes.is_up(cluster, endpoint(&snapshot, "edge", 1).1), "step {step}");
    }
}

#[test]
fn each_in_its_time_and_once() {
    let (mut probes, _, due) = all_due(TEXT);
    assert_eq!(probes.due(s(200), usize::MAX), [], "all are under way");
    let (target, timeout) = due.iter().find(|(target, _)| &*target.cluster == "edge").expect("it is");
    assert_eq!(*timeout, s(1));
    probes.answer(target, true, s(103));
    assert_eq!(probes.next(), Some(s(104)), "two seconds after it was asked");
    assert_eq!(probes.due(s(103), usize::MAX), []);
    assert_eq!(probes.due(s(104), usize::MAX).len(), 1);
    for (target, _) in &due {
        probes.answer(target, true, s(300));
    }
    assert_eq!(probes.due(s(400), 3).len(), 3, "no more than there is room for");
    assert_eq!(probes.due(s(400), usize::MAX).len(), due.len() - 3);
}

#[test]
fn what_was_found_stays_and_what_is_new_is_as_the_maps_say() {
    let (mut probes, before, due) = all_due(TEXT);
    for (target, _) in &due {
        for _ in 0..3 {
            probes.answer(target, &*target.cluster != "edge", s(103));
        }
    }
    let more = TEXT.replace("10.0.1.2]", "10.0.1.2, 10.0.1.3]").replace("[10.0.2.1], health", "[10.0.2.1, 10.0.2.2], health");
    let after = snapshot(&more);
    probes.take(&after, &|cluster, _| &*cluster.name == "edge", s(110));
    let is_up = |cluster, place| {
        let (cluster, endpoint) = endpoint(&after, cluster, place);
        probes.is_up(cluster, endpoint)
    };
    assert_eq!([is_up("edge", 0), is_up("edge", 1), is_up("edge", 2)], [false, false, true]);
    assert_eq!([is_up("quic", 0), is_up("quic", 1), is_up("free", 0)], [true, false, true]);
    // A cluster without checks is up whatever was found before.
    probes.take(
        &snapshot(&TEXT.replace(", health: [{ tcp: {}, interval: 2s, timeout: 1s, rise: 2, fall: 3 }]", "")),
        &|_, _| false,
        s(111),
    );
    let (cluster, first) = endpoint(&before, "edge", 0);
    assert!(probes.is_up(cluster, first));
}

#[test]
fn down_within_interval_times_fall() {
    let ms = Duration::from_millis;
    // Interval, timeout, fall, and when at the latest an endpoint that stopped to answer at 0 is down.
    for (interval, timeout, fall, latest) in
        [(500, 300, 3, 1500), (2000, 1000, 3, 6000), (300, 100, 2, 600), (500, 400, 3, 500 + 3 * 420), (1000, 100, 1, 1120)]
    {
        let text = TEXT
            .replace("interval: 2s, timeout: 1s, rise: 2, fall: 3", &format!("interval: {interval}ms, timeout: {timeout}ms, fall: {fall}"));
        let (mut probes, _, due) = all_due(&text);
        let target = &due.iter().find(|(target, _)| &*target.cluster == "edge").expect("it is").0;
        // It answered at once, and then died.
        let died = s(102);
        assert_eq!(probes.answer(target, true, died), None);
        let mut asked = 0;
        let down = loop {
            let at = probes.next().expect("it is asked again");
            assert!(probes.due(at, usize::MAX).iter().any(|(one, _)| one == target));
            asked += 1;
            // A timeout is seen at the next look.
            let seen = at + ms(timeout + 20);
            if probes.answer(target, false, seen) == Some(false) {
                break seen;
            }
        };
        assert_eq!(asked, fall, "no fewer questions than were asked for");
        assert!(down <= died + ms(latest), "{interval} {timeout} {fall}: died at {died:?}, down at {down:?}");
    }
}
