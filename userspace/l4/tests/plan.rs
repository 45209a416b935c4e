//! Plans against maps that are played: what configuration and health ask for, what is written for a change, and what another process
//! finds.

use std::net::IpAddr;
use std::path::Path;

use abi::{Away, AwayKey, OWNER, PortKey, Service, backend_flags, protocols, service_flags};
use config::{Cluster, Endpoint, Snapshot, compile, load_text};
use l4::{Held, Hop, Machine, Maps, Plan, PlanFault, Wishes, Write, apply, diff, stale_pins};

const EDGE: &str = "
version: 1
l4: { hash_seed: 7, table_size: 4093, settle: 100s, source: [10.0.0.9], pools: { out: { addresses: [10.8.0.1, '2001:db8::8'], ports: 1000-1999 } } }
clusters:
  edge: { endpoints: [10.0.1.1, 10.0.1.2, 10.0.1.3, { address: '2001:db8::1', weight: 2 }] }
  pg: { endpoints: ['10.0.2.1:5432', '10.0.2.2:5433'] }
listeners: { web: { bind: ['*:80'], tcp: pg } }
vips:
  shop: { addresses: [203.0.113.10, '2001:db8::10'], ports: [tcp/443, udp/443], dsr: ipip, to: edge, session: 30s }
  all: { addresses: [203.0.113.11], ports: [all], dsr: { via: gue }, to: edge, hash: source, on_down: reset }
  pg: { addresses: [203.0.113.12], ports: [tcp/6000], nat: none, to: pg }
  out: { addresses: [203.0.113.13], ports: [tcp/7000-7009, tcp/7443], nat: out, to: pg }
  own: { addresses: [203.0.113.14], ports: [tcp/80], terminate: web }
";

fn snapshot(text: &str) -> Snapshot {
    let loaded = load_text(Path::new("/etc/sluice.yaml"), text).expect("YAML");
    compile(&loaded, None).unwrap_or_else(|rejections| panic!("{}", rejections[0]))
}

fn next(plan: &Plan, text: &str, down: &[&str], now_s: u32) -> Plan {
    let snapshot = snapshot(text);
    let is_up = |_: &Cluster, endpoint: &Endpoint| !down.contains(&&*endpoint.name);
    plan.next(Wishes { snapshot: &snapshot, is_up: &is_up, hop: &|_| None, machine: Machine { cpus: 2, ..Machine::default() }, now_s })
        .expect("a plan")
}

/// Maps that do what the kernel's do, and complain of what leads nowhere.
#[derive(Default)]
struct Played {
    /// All but the records of slots that are away.
    held: Held,
    away: hashbrown::HashMap<AwayKey, Away>,
    writes: usize,
}

impl Played {
    fn holds(text: &str) -> (Self, Plan) {
        let (mut maps, plan) = (Self::default(), next(&Plan::default(), text, &[], 1));
        maps.take(&Plan::default(), &plan);
        (maps, plan)
    }

    /// How many writes it took.
    fn take(&mut self, old: &Plan, new: &Plan) -> usize {
        let before = self.writes;
        apply(self, old, new).expect("nothing leads nowhere");
        self.writes - before
    }

    /// What another process would find.
    fn held(&self) -> Held {
        Held { away: self.away.iter().map(|(key, record)| (*key, *record)).collect(), ..self.held.clone() }
    }

    fn check(&self) -> Result<(), String> {
        let services = &self.held.services;
        let leads = |service: u32| services.get(&service).is_some_and(|service| *service != Service::default());
        let ranges = self.held.addresses.values().flat_map(|ports| &ports.ranges[..ports.count as usize]);
        let named = self.held.ports.values().copied().chain(ranges.map(|range| range.service));
        if let Some(service) = named.filter(|service| !leads(*service)).min() {
            return Err(format!("service {service} is none"));
        }
        let has_table = |service: &&Service| service.table == 0 || self.held.tables.contains_key(&service.table);
        if !services.values().all(|service| has_table(&service)) {
            return Err("a service without its table".to_owned());
        }
        let owners = self.held.tables.values().flat_map(|words| words.iter().map(|word| word & OWNER));
        let owners = owners.chain(self.away.values().flat_map(|away| [away.current, away.fallback]));
        match owners.filter(|owner| *owner != 0 && !self.held.backends.contains_key(owner)).min() {
            Some(owner) => Err(format!("backend {owner} is none")),
            None => Ok(()),
        }
    }
}

impl Maps for Played {
    type Error = String;

    fn write(&mut self, write: &Write<'_>) -> Result<(), String> {
        fn put<K: std::hash::Hash + Eq, V>(map: &mut hashbrown::HashMap<K, V>, key: K, value: Option<V>) {
            match value {
                Some(value) => drop(map.insert(key, value)),
                None => assert!(map.remove(&key).is_some(), "what is taken away was there"),
            }
        }
        self.writes += 1;
        let held = &mut self.held;
        match write.clone() {
            Write::Settings(settings) => held.settings = settings,
            Write::Identity(kind, number, identity) => {
                held.identities.retain(|(other, at, _)| (*other, *at) != (kind, number));
                held.identities.push((kind, number, identity));
            }
            Write::Backend(number, backend) => drop(held.backends.insert(number, backend)),
            Write::Away(key, record) => put(&mut self.away, key, record),
            Write::Table(number, Some(words)) => drop(held.tables.insert(number, words.into())),
            Write::Slots(number, slots, _) => {
                let words = held.tables.get_mut(&number).expect("a table that is in force");
                for (slot, word) in slots {
                    words[slot as usize] = word;
                }
            }
            Write::Table(number, None) => drop(held.tables.remove(&number)),
            Write::Pool(number, address) => {
                held.pool.resize(held.pool.len().max(number as usize + 1), address);
                held.pool[number as usize] = address;
            }
            Write::Origin(key, origin) => put(&mut held.origins, key, origin),
            Write::Service(number, service) => drop(held.services.insert(number, service)),
            Write::Address(key, ports) => put(&mut held.addresses, key, ports),
            Write::Port(key, service) => put(&mut held.ports, key, service),
        }
        // Records by the thousand lead nowhere that their table does not.
        if matches!(write, Write::Away(..)) { Ok(()) } else { self.check() }
    }
}

fn v4(text: &str) -> abi::Address {
    abi::Address::v4(text.parse::<std::net::Ipv4Addr>().expect("an address").octets())
}

fn service<'a>(plan: &'a Plan, address: &str, protocol: u8, port: u16) -> &'a Service {
    let exact = plan.ports.get(&PortKey::new(v4(address), protocol, port)).copied();
    let ports = &plan.addresses[&PortKey::new(v4(address), protocol, 0)];
    let range = ports.ranges[..ports.count as usize].iter().find(|range| (range.first..=range.last).contains(&port));
    &plan.services[&exact.or_else(|| range.map(|range| range.service)).unwrap_or(ports.portless)]
}

/// The slots of a service's table by their owner's address, as (slots, of them away).
fn owners(plan: &Plan, service: &Service) -> Vec<(String, usize, usize)> {
    let (_, slots) = plan.tables().find(|(number, _)| *number == service.table).expect("its table");
    let mut owners: Vec<(String, usize, usize)> = Vec::new();
    for word in slots.words() {
        let name = plan.backend_names.get(&(word & OWNER)).map_or("nobody", |(_, address)| address);
        let at = owners.iter().position(|(known, ..)| known == name).unwrap_or_else(|| {
            owners.push((name.to_owned(), 0, 0));
            owners.len() - 1
        });
        owners[at].1 += 1;
        owners[at].2 += usize::from(word & !OWNER != 0);
    }
    owners.sort();
    owners
}

#[test]
fn every_vip_leads_to_its_service() {
    let (_, plan) = Played::holds(EDGE);
    let shop = service(&plan, "203.0.113.10", protocols::TCP, 443);
    assert_eq!((shop.mode, shop.via, shop.flags, shop.session_s), (abi::MODE_DSR, abi::VIA_IPIP, 0, 30));
    assert_eq!(
        owners(&plan, shop).into_iter().map(|(name, slots, away)| (name, slots / 100, away)).collect::<Vec<_>>(),
        [("10.0.1.1".to_owned(), 8, 0), ("10.0.1.2".to_owned(), 8, 0), ("10.0.1.3".to_owned(), 8, 0), ("2001:db8::1".to_owned(), 16, 0),]
    );
    let all = service(&plan, "203.0.113.11", protocols::UDP, 9);
    assert_eq!((all.via, all.flags, all.table), (abi::VIA_GUE, service_flags::HASH_SOURCE | service_flags::RESET, shop.table));
    // Fragments without a port can be told where the port does not count.
    let portless = |address: &str| plan.addresses[&PortKey::new(v4(address), protocols::UDP, 0)].portless;
    assert_eq!((plan.services.get(&portless("203.0.113.11")), portless("203.0.113.10")), (Some(all), 0));
    let pg = service(&plan, "203.0.113.12", protocols::TCP, 6000);
    assert_eq!(pg.mode, abi::MODE_NAT_GATEWAY);
    let origin = |address: &str, port: u16| {
        plan.origins[&abi::OriginKey { address: v4(address), port: port.to_be(), protocol: protocols::TCP, padding: 0 }].0
    };
    assert_eq!((origin("10.0.2.2", 5433).vip, origin("10.0.2.2", 5433).port), (v4("203.0.113.12"), 6000_u16.to_be()));
    let out = service(&plan, "203.0.113.13", protocols::TCP, 7005);
    assert_eq!((out.mode, out.pool_count, plan.pool[out.pool_first as usize].address), (abi::MODE_NAT_POOL, 1, v4("10.8.0.1")));
    assert_eq!(service(&plan, "203.0.113.14", protocols::TCP, 80).mode, abi::MODE_TERMINATE);
    let settings = plan.settings;
    assert_eq!((settings.slots, settings.hash_seed, settings.cpus, settings.source_v4), (4_093, 7, 2, v4("10.0.0.9")));
}

#[test]
fn echoes_are_answered_while_something_lives() {
    let alive = next(&Plan::default(), EDGE, &[], 1);
    let dead = next(&alive, EDGE, &["10.0.1.1", "10.0.1.2", "10.0.1.3", "2001:db8::1"], 2);
    let answers = |plan: &Plan, address: &str| {
        let echo = plan.addresses[&PortKey::new(v4(address), protocols::ICMP, 0)].portless;
        plan.services.get(&echo).map(|service| service.flags & service_flags::LIVES != 0)
    };
    assert_eq!((answers(&alive, "203.0.113.10"), answers(&dead, "203.0.113.10")), (Some(true), Some(false)));
    // The stack answers for what is terminated.
    assert_eq!((answers(&alive, "203.0.113.14"), answers(&dead, "203.0.113.12")), (None, Some(true)));
}

#[test]
fn drained_and_dead_members_lose_their_slots_to_the_others_and_get_them_back() {
    let mut plan = next(&Plan::default(), EDGE, &[], 1);
    let home = owners(&plan, service(&plan, "203.0.113.10", protocols::TCP, 443));
    let drained = EDGE.replace("10.0.1.1,", "{ address: 10.0.1.1, state: drained },");
    for (text, down, flags) in [(&*drained, &[][..], backend_flags::DRAINING), (EDGE, &["10.0.1.1"][..], backend_flags::DOWN)] {
        let away = next(&plan, text, down, 10);
        let slots = owners(&away, service(&away, "203.0.113.10", protocols::TCP, 443));
        assert!(slots.iter().all(|(name, ..)| name != "10.0.1.1"));
        assert_eq!(slots.iter().map(|(_, _, away)| away).sum::<usize>(), home[0].1, "its slots are away, and no others");
        let number = plan.backend_names.iter().find(|(_, (_, address))| &**address == "10.0.1.1").expect("it").0;
        assert_eq!(away.backends[number].flags, flags);
        let back = next(&away, EDGE, &[], 20);
        assert_eq!(back.settles_at(100), Some(120));
        plan = next(&back, EDGE, &[], 120);
        assert_eq!((owners(&plan, service(&plan, "203.0.113.10", protocols::TCP, 443)), plan.settles_at(100)), (home.clone(), None));
    }
}

#[test]
fn only_what_changed_is_written() {
    let (mut maps, plan) = Played::holds(EDGE);
    assert_eq!(diff(&plan, &next(&plan, EDGE, &[], 50)), []);
    let down = next(&plan, EDGE, &["10.0.1.1"], 60);
    let slots = owners(&plan, service(&plan, "203.0.113.10", protocols::TCP, 443))[0].1;
    // Its backend, a record for each of its slots, and the one table they are in.
    assert_eq!(maps.take(&plan, &down), 1 + slots + 1);
    let moved = next(&down, &EDGE.replace("tcp/6000", "tcp/6001"), &["10.0.1.1"], 61);
    // A port there, one away; the way back of two origins.
    assert_eq!(maps.take(&down, &moved), 4);
    let none = next(&moved, "version: 1\nl4: { table_size: 4093 }", &[], 62);
    maps.take(&moved, &none);
    let held = maps.held();
    assert_eq!((held.ports.len(), held.addresses.len(), held.tables.len(), held.away.len(), held.origins.len()), (0, 0, 0, 0, 0));
}

#[test]
fn another_process_goes_on_from_what_the_maps_hold() {
    let (mut maps, plan) = Played::holds(EDGE);
    let down = next(&plan, EDGE, &["10.0.1.1"], 60);
    maps.take(&plan, &down);
    let adopted = Plan::adopt(maps.held());
    // The same wishes: nothing to do. Others meanwhile: what an unbroken process would have done.
    assert_eq!(diff(&adopted, &next(&adopted, EDGE, &["10.0.1.1"], 70)), []);
    let other = EDGE.replace("10.0.1.2,", "10.0.1.7,");
    let (after, unbroken) = (next(&adopted, &other, &[], 70), next(&down, &other, &[], 70));
    assert_eq!(diff(&after, &unbroken), []);
    maps.take(&adopted, &after);
}

#[test]
fn origins_that_left_are_known_until_their_flows_have_settled() {
    let (mut maps, plan) = Played::holds(EDGE);
    let fewer = EDGE.replace(", '10.0.2.2:5433'", "");
    let gone = next(&plan, &fewer, &[], 60);
    maps.take(&plan, &gone);
    let still = next(&gone, &fewer, &[], 159);
    assert_eq!((gone.origins.len(), still.origins.len(), next(&still, &fewer, &[], 160).origins.len()), (2, 2, 1));
    assert_eq!(still.settles_at(100), Some(160));
}

#[test]
fn random_changes_never_lead_anywhere_that_is_not() {
    let (mut maps, mut plan) = Played::holds(EDGE);
    let mut random = 7_u64;
    let mut below = |end: usize| {
        random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        usize::try_from(random >> 33).expect("64 bits") % end
    };
    for step in 0..60 {
        let members: Vec<String> = (1..=8).filter(|_| below(3) > 0).map(|number| format!("10.0.1.{number}")).collect();
        let text = EDGE.replace(
            "10.0.1.1, 10.0.1.2, 10.0.1.3",
            &["10.0.1.9"].into_iter().map(str::to_owned).chain(members).collect::<Vec<_>>().join(", "),
        );
        let text = if below(4) == 0 {
            text.replace("ipip, to: edge", "l2, to: edge").replace("tcp/443, udp/443", "tcp/444, udp/443")
        } else {
            text
        };
        let down = ["10.0.1.2", "10.0.1.5", "10.0.2.1", "10.0.1.9"];
        let new = next(&plan, &text, &down[..below(5)], 10 + step * 20);
        maps.take(&plan, &new);
        // What the maps hold is what the plan says: another process would have nothing to do.
        plan = if below(5) == 0 { Plan::adopt(maps.held()) } else { new.clone() };
        assert_eq!(diff(&plan, &new).len(), 0, "step {step}");
    }
}

#[test]
fn more_than_the_kernel_has_room_for_is_refused() {
    let endpoints: Vec<String> =
        (0..65_536_u32).map(|number| format!("10.{}.{}.{}", number >> 16, number >> 8 & 255, number & 255)).collect();
    let text = format!(
        "version: 1\nclusters: {{ a: {{ endpoints: [{}] }} }}\nvips: {{ a: {{ addresses: [10.255.0.1], ports: [all], dsr: l2, to: a }} }}",
        endpoints.join(", ")
    );
    let wishes = Wishes { snapshot: &snapshot(&text), is_up: &|_, _| true, hop: &|_| None, machine: Machine::default(), now_s: 1 };
    assert_eq!(Plan::default().next(wishes).err(), Some(PlanFault::TooMany { what: "backends", limit: 65_535 }));
}

/// Flows that are kept go on to backends that are gone, so their next hops are followed too.
#[test]
fn next_hops_stand_in_every_backend() {
    let hop = |mac: u8| Hop { mac: [2, 0, 0, 0, 0, mac], source_mac: [2, 0, 0, 0, 1, 0], interface: 3 };
    let with = |plan: &Plan, text: &str, known: &[(&str, Hop)]| {
        let known: Vec<(IpAddr, Hop)> = known.iter().map(|(address, hop)| (address.parse().expect("an address"), *hop)).collect();
        let find = |address: IpAddr| known.iter().find(|(of, _)| *of == address).map(|(_, hop)| *hop);
        let wishes = Wishes { snapshot: &snapshot(text), is_up: &|_, _| true, hop: &find, machine: Machine::default(), now_s: 1 };
        plan.next(wishes).expect("a plan")
    };
    let text = |origins: &str| {
        format!(
            "version: 1\nclusters: {{ a: {{ endpoints: [{origins}] }} }}\nvips: {{ a: {{ addresses: [10.255.0.1], ports: [all], dsr: ipip, to: a }} }}"
        )
    };
    let both = with(&Plan::default(), &text("10.0.0.1, \"fd00::1\""), &[("10.0.0.1", hop(1))]);
    let hops = |plan: &Plan| {
        let all = plan.backends.values().map(|backend| (backend.address.is_v4(), backend.mac, backend.source_mac, backend.interface));
        let mut all: Vec<_> = all.collect();
        all.sort_unstable();
        all
    };
    let of = |is_v4: bool, hop: Hop| (is_v4, hop.mac, hop.source_mac, hop.interface);
    assert_eq!(hops(&both), [of(false, Hop::default()), of(true, hop(1))]);
    let gone = with(&both, &text("\"fd00::1\""), &[("10.0.0.1", hop(2)), ("fd00::1", hop(3))]);
    assert_eq!(hops(&gone), [of(false, hop(3)), of(true, hop(2))]);
    assert_eq!(diff(&gone, &with(&gone, &text("\"fd00::1\""), &[("fd00::1", hop(3))])).len(), 1, "its entry alone is written");
}

#[test]
fn pins_of_slots_that_are_at_home_or_of_silent_flows_are_stale() {
    let plan = next(&Plan::default(), EDGE, &[], 1);
    let down = next(&plan, EDGE, &["10.0.1.1"], 60);
    let flow = |port: u16| abi::FlowKey {
        source: v4("192.0.2.1"),
        destination: v4("203.0.113.10"),
        source_port: port.to_be(),
        destination_port: 443_u16.to_be(),
        protocol: protocols::TCP,
        padding: [0; 3],
    };
    let pin = |episode| abi::Pin { backend: 1, episode, seen_s: 65, flags: 0 };
    let pins: Vec<(abi::FlowKey, abi::Pin)> = (1..=1_000).map(|port| (flow(port), pin(60))).collect();
    let live = |plan: &Plan, now_s: u32| 1_000 - stale_pins(plan, &pins, now_s, 100).len();
    // A fifth of the slots are away.
    assert!((120..280).contains(&live(&down, 70)), "{}", live(&down, 70));
    assert_eq!((live(&plan, 70), live(&down, 165), live(&next(&down, EDGE, &["10.0.1.1"], 160), 160)), (0, 0, 0));
    let other: Vec<_> = pins.iter().map(|(flow, _)| (*flow, pin(59))).collect();
    assert_eq!(stale_pins(&down, &other, 70, 100).len(), 1_000, "of another time away");
}
