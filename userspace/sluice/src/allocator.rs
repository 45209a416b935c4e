//! The allocator: mimalloc, whose heaps belong to threads as everything of a worker does.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Gives what the calling thread has freed back to the kernel. mimalloc does so by itself only while it is allocating: a worker whose crowd
/// has gone would keep its memory until the next one comes, and the desk that compiled a configuration until the next configuration.
#[expect(unsafe_code, reason = "mimalloc's call has no safe wrapper")]
pub(crate) fn give_back() {
    // SAFETY: it works on the calling thread's own heap and touches nothing that is allocated.
    unsafe { libmimalloc_sys::mi_collect(true) };
}
