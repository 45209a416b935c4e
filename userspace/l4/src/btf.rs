//! The kernel's own types, as it tells them (BTF): where a member of a structure stands in this very kernel.
//!
//! Bytes are read from a file of the kernel's, and all the same nothing here trusts a length.

/// Where the kernel tells its types.
pub(crate) const KERNEL_TYPES: &str = "/sys/kernel/btf/vmlinux";

const MAGIC: u32 = 0xeb9f;
const STRUCT: u32 = 4;
/// Bytes of a type's head: name, kind with count, size.
const TYPE_BYTES: usize = 12;
/// Bytes of a structure's member: name, type, offset.
const MEMBER_BYTES: usize = 12;

/// Bytes from the beginning of `structure` to its member `member`; `None` where the types do not say so.
pub(crate) fn member_offset(types: &[u8], structure: &str, member: &str) -> Option<u32> {
    if word(types, 0)? & 0xffff != MAGIC {
        return None;
    }
    let header = size(word(types, 4)?);
    let section = |offset: usize, length: usize| {
        let begin = header.checked_add(size(word(types, offset)?))?;
        types.get(begin..begin.checked_add(size(word(types, length)?))?)
    };
    let (mut rest, names) = (section(8, 12)?, section(16, 20)?);
    let is_named = |at: u32, name: &str| names.get(size(at)..).is_some_and(|text| is_text(text, name));
    while !rest.is_empty() {
        let (name, info) = (word(rest, 0)?, word(rest, 4)?);
        let (kind, count) = (info >> 24 & 0x1f, size(info & 0xffff));
        let details = rest.get(TYPE_BYTES..TYPE_BYTES + details(kind, count)?)?;
        if kind == STRUCT && is_named(name, structure) {
            let found = details.chunks_exact(MEMBER_BYTES).find(|one| word(one, 0).is_some_and(|name| is_named(name, member)))?;
            // With bit fields in the structure the upper byte is a width.
            let bits = if info >> 31 == 1 { word(found, 8)? & 0x00ff_ffff } else { word(found, 8)? };
            return Some(bits / 8);
        }
        rest = &rest[TYPE_BYTES + details.len()..];
    }
    None
}

/// Bytes that follow a type's head.
fn details(kind: u32, count: usize) -> Option<usize> {
    Some(match kind {
        // An integer, a variable, a tag on a declaration.
        1 | 14 | 17 => 4,
        // An array.
        3 => 12,
        // Structures, unions, sections, enumerations of 64 bits.
        4 | 5 | 15 | 19 => count * 12,
        // Enumerations, parameters.
        6 | 13 => count * 8,
        // Pointers, forward declarations, names, qualifiers, functions, floating points, tags.
        2 | 7..=12 | 16 | 18 => 0,
        _ => return None,
    })
}

fn is_text(bytes: &[u8], name: &str) -> bool {
    bytes.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&0))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn size(word: u32) -> usize {
    word as usize
}
