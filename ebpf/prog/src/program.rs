//! What every program has to have, whatever it does.
#![expect(unsafe_code, reason = "a section is where the kernel looks for the licence")]

/// Helpers that the kernel gives to GPL-compatible programs only are used.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

/// What the compiler wants for panics, of which the verifier lets none remain.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
