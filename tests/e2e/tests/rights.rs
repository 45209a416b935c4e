//! The kernel layer with the rights that its service has, and no others.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
};

use e2e::{PATIENCE, Setup, eventually, free_address, run, sluice_command};

/// What `packaging/kernel-layer.conf` gives, in setpriv's words.
fn given() -> String {
    let unit = include_str!("../../../packaging/kernel-layer.conf");
    let line = unit.lines().rev().find_map(|line| line.strip_prefix("AmbientCapabilities=")).expect("the unit says it");
    line.split(' ').fold("-all".to_owned(), |all, one| format!("{all},+{}", one.trim_start_matches("CAP_").to_lowercase()))
}

/// Linux' numbers of `CAP_NET_BIND_SERVICE`, `CAP_NET_ADMIN` and `CAP_BPF`.
const KEPT: u64 = 1 << 10 | 1 << 12 | 1 << 39;

#[test]
fn the_kernel_layer_runs_with_the_rights_of_its_service() {
    let (web, listener) = (free_address(), TcpListener::bind("127.0.0.1:0").expect("a free port"));
    let origin = listener.local_addr().expect("it is bound");
    let instance = format!("rights-{}", web.port());
    let interface = format!("rights{}", web.port());
    let _removed = Removed { interface: &interface, instance: &instance };
    assert!(
        run("ip", &["link", "add", &interface, "type", "veth", "peer", "name", &format!("peer{}", web.port())]).status.success(),
        "it needs root"
    );
    assert!(run("ip", &["addr", "add", "198.18.7.1/30", "dev", &interface]).status.success());
    assert!(run("ip", &["link", "set", &interface, "up"]).status.success());
    let text = format!(
        "l4: {{ instance: {instance}, interfaces: [{interface}], attach: generic }}
vips:
  shop: {{ addresses: [198.18.7.9], ports: [tcp/443], dsr: {{ via: ipip }}, to: edge }}
listeners:
  web: {{ bind: [\"{web}\"], tcp: {{ to: app }} }}
clusters:
  app: {{ endpoints: [\"{origin}\"], redirect: sockmap }}
  edge: {{ endpoints: [198.18.7.2] }}
"
    );
    // As the unit does before it starts; nobody is user 65534, and the folder is where the admin socket will be.
    let folder = format!("/sys/fs/bpf/sluice/{instance}");
    let (given, script) =
        (given(), "chown 65534 .; chmod a+x /sys/fs/bpf /sys/fs/bpf/sluice; install -d -o 65534 -g 65534 -m 0700 \"$0\"; exec \"$@\"");
    fs::create_dir_all("/sys/fs/bpf/sluice").expect("the BPF filesystem is mounted");
    let (ambient, bounding) = (format!("--ambient-caps={given}"), format!("--bounding-set={given}"));
    let inheritable = format!("--inh-caps={given}");
    let under =
        ["sh", "-c", script, &folder, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", &inheritable, &ambient, &bounding];
    let sluice = Setup::new(text).with(&["--workers", "1"]).under(&under).start();
    assert!(sluice.log().contains(&format!("the kernel layer takes packets of {interface} (generic")), "{}", sluice.log());
    let status = fs::read_to_string(format!("/proc/{}/status", sluice.process().as_raw_nonzero())).expect("the process is there");
    let permitted = status.lines().find_map(|line| line.strip_prefix("CapPrm:")).expect("Linux tells it");
    assert_eq!(u64::from_str_radix(permitted.trim(), 16).ok(), Some(KEPT), "{permitted}");
    // The doctor sees how packets meet it.
    let told = sluice_command().arg("doctor").output().expect("the doctor runs");
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    let line = told.lines().find(|line| line.contains(&format!("{interface}: XDP"))).unwrap_or_default();
    assert!(line.starts_with("warn") && line.contains(" generic "), "{told}");
    // And sockets are joined without any right that was given up.
    sluice.await_listener(web);
    let (_asked, _) = listener.accept().expect("whoever asked whether it listens");
    let mut client = TcpStream::connect(web).expect("it listens");
    let (mut origin, _) = listener.accept().expect("a connection");
    origin.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    client.write_all(b"through").expect("it is taken");
    origin.read_exact(&mut [0; 7]).expect("it comes");
    let joined = || sluice.metrics().sum("sluice_upstream_redirects_total", &["result=\"joined\""]);
    eventually("a connection is joined in the kernel", || joined() >= 1);
}

/// No rights at all: what the kernel was to do is said to be missing, and everything else is done.
#[test]
fn listeners_are_served_without_any_rights() {
    let (web, listener) = (free_address(), TcpListener::bind("127.0.0.1:0").expect("a free port"));
    let origin = listener.local_addr().expect("it is bound");
    let vips = |more: &str| {
        format!(
            "l4: {{ instance: none-{port}, interfaces: [lo] }}
vips:
  shop: {{ addresses: [198.18.7.9{more}], ports: [tcp/443], dsr: ipip, to: edge }}
listeners:
  web: {{ bind: [\"{web}\"], tcp: {{ to: app }} }}
clusters:
  app: {{ endpoints: [\"{origin}\"], redirect: sockmap }}
  edge: {{ endpoints: [198.18.7.2] }}
",
            port = web.port()
        )
    };
    let sluice = Setup::new(vips("")).with(&["--workers", "1"]).under(&NOBODY).start();
    assert!(sluice.log().contains("no packets of VIPs are taken, only listeners are served"), "{}", sluice.log());
    assert!(sluice.log().contains("CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN, CAP_NET_RAW"), "{}", sluice.log());
    assert!(sluice.log().contains("userspace carries all bytes"), "{}", sluice.log());
    sluice.await_listener(web);
    let (_asked, _) = listener.accept().expect("whoever asked whether it listens");
    let serves = || {
        let mut client = TcpStream::connect(web).expect("it listens");
        let (mut origin, _) = listener.accept().expect("a connection");
        origin.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        client.write_all(b"through").expect("it is taken");
        origin.read_exact(&mut [0; 7]).expect("it comes");
    };
    serves();
    // A change is taken too.
    sluice.replace(&vips(", 198.18.7.10"));
    eventually("the change is in force", || sluice.metrics().sum("sluice_config_applied_total", &[]) >= 1);
    serves();
}

/// Neither listeners nor rights: nothing could be done, and the process ends saying what it lacks.
#[test]
fn who_could_do_nothing_ends_and_says_why() {
    let text = "l4: { instance: idle, interfaces: [lo] }
vips:
  shop: { addresses: [198.18.7.9], ports: [tcp/443], dsr: ipip, to: edge }
clusters:
  edge: { endpoints: [198.18.7.2] }
";
    let (status, log) = Setup::new(text).with(&["--workers", "1"]).under(&NOBODY).refused();
    assert_eq!(status.code(), Some(1), "{log}");
    let why = "there are VIPs and no listeners, and this process has no CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN, CAP_NET_RAW";
    assert!(log.contains(why), "{log}");
}

/// As somebody without any rights, in a folder that is theirs.
const NOBODY: [&str; 8] = ["sh", "-c", "chown 65534 .; exec \"$@\"", "sh", "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

/// What the test leaves in the kernel, taken away.
struct Removed<'a> {
    interface: &'a str,
    instance: &'a str,
}

impl Drop for Removed<'_> {
    fn drop(&mut self) {
        let folder = format!("/sys/fs/bpf/sluice/{}", self.instance);
        drop(run("rm", &["-rf", &folder]));
        drop(run("ip", &["link", "del", self.interface]));
    }
}
