//! The maps of redirection, and the sockets in them.
#![expect(unsafe_code, reason = "map values and sockets are memory that the kernel lends: each access says why it is right")]

use abi::{Redirection, limits};
use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::{BPF_F_NO_PREALLOC, tcp_sock};
use aya_ebpf::btf_maps::{HashMap, RingBuf, SockHash};
use aya_ebpf::helpers;
use aya_ebpf::macros::btf_map;
use aya_ebpf::programs::SkBuffContext;

const NO_PREALLOC: usize = BPF_F_NO_PREALLOC as usize;

#[btf_map]
static REDIRECTIONS: HashMap<u64, Redirection, { limits::REDIRECTED_SOCKETS as usize }, NO_PREALLOC> = HashMap::new();
#[btf_map]
static TARGETS: SockHash<u64, { limits::REDIRECTED_SOCKETS as usize }> = SockHash::new();
#[btf_map]
static SOURCES: SockHash<u64, { limits::REDIRECTED_SOCKETS as usize }> = SockHash::new();
#[btf_map]
static FULL: RingBuf<u64, { limits::REDIRECT_FULL_BYTES as usize }> = RingBuf::new();

/// Where in the kernel's `tcp_sock` the count of acknowledged bytes stands: written by the loader, which reads the kernel's own types.
#[unsafe(no_mangle)]
static BYTES_ACKED_AT: u32 = 0;

/// The number of the socket that received this.
#[inline(always)]
pub(crate) fn cookie(received: &SkBuffContext) -> u64 {
    // SAFETY: a live context.
    unsafe { helpers::bpf_get_socket_cookie(received.as_ptr()) }
}

/// What is known of the direction that begins at this socket.
#[inline(always)]
pub(crate) fn redirection(source: u64) -> Option<&'static mut Redirection> {
    // SAFETY: written only under the lock of the socket, which whoever runs the program holds; entries are taken away after their sockets.
    REDIRECTIONS.get_ptr_mut(source).map(|direction| unsafe { &mut *direction })
}

/// Has the target send it.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an action of the kernel's, 0 or 1")]
#[inline(always)]
pub(crate) fn send_on(received: &SkBuffContext, target: u64) -> u32 {
    TARGETS.redirect_skb(received, target, 0) as u32
}

/// How many bytes the target's peer has acknowledged since their connection began.
#[inline(always)]
pub(crate) fn acknowledged(target: u64) -> Option<u64> {
    let sockets = (&raw const TARGETS).cast_mut().cast();
    // SAFETY: a map of sockets and a key of its size; the result is null or a socket that is held until it is released below.
    let socket = unsafe { helpers::bpf_map_lookup_elem(sockets, (&raw const target).cast()) };
    if socket.is_null() {
        return None;
    }
    // SAFETY: a socket that is held.
    let tcp = unsafe { helpers::bpf_skc_to_tcp_sock(socket) };
    let count = if tcp.is_null() { None } else { Some(bytes_acked(tcp)) };
    // SAFETY: looked up above, and nothing of it is used below.
    unsafe { helpers::bpf_sk_release(socket) };
    count
}

#[inline(always)]
fn bytes_acked(tcp: *const tcp_sock) -> u64 {
    // SAFETY: a value of our own, which the loader wrote before the program was there.
    let at = unsafe { (&raw const BYTES_ACKED_AT).read_volatile() } as usize;
    // SAFETY: within the structure, as the kernel's own types say.
    let count = unsafe { tcp.cast::<u64>().byte_add(at) };
    // SAFETY: the kernel lets programs read its structures, and its types say that a u64 is there.
    unsafe { count.read_volatile() }
}

/// Tell userspace that this direction begins to be kept. Where the ring is full the bytes themselves will.
#[inline(always)]
pub(crate) fn tell_full(source: u64) {
    let _told = FULL.output(source, 0);
}
