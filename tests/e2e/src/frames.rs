//! A small language for HTTP/2 frames, so that tables of cases can be read.
//!
//! `get 1`, `post 1`, `head 1`, `headers 1 es eh :method=GET x=y`, `cont 1 eh x=y`, `data 1 es hello`, `rst 1 8`, `settings 4=10`,
//! `settings ack`, `ping 8bytes!!`, `goaway 7 0`, `window 1 100`, `priority 1 3 255`, `raw TYPE FLAGS STREAM HEX`. What has no `=` in a field
//! list is the block itself, in hexadecimal; `pad` pads with three bytes, `prio` depends on stream 0 and `self` on the frame's own; `_` in a
//! value is a space; `x*100` is a hundred times x, also in hexadecimal.

/// Who requests are for: what stands in `:scheme` and `:authority` where a case does not say it.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// `http` or `https`.
    pub scheme: &'a str,
    /// The host.
    pub authority: &'a str,
}

/// One frame, whole.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame is not that long").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Frames, separated by `;`.
pub fn frames(text: &str, target: Target<'_>) -> Vec<u8> {
    text.split(';').map(str::trim).filter(|text| !text.is_empty()).flat_map(|text| parse(text, target)).collect()
}

/// The frame that `text` says.
pub(crate) fn parse(text: &str, target: Target<'_>) -> Vec<u8> {
    let mut words: Vec<&str> = text.split_whitespace().collect();
    let verb = words.remove(0);
    if verb == "raw" {
        return frame(number(words[0]), number(words[1]), number(words[2]), &hex(&words[3..].concat()));
    }
    let stream = if matches!(verb, "ping" | "settings") { 0 } else { number(words.remove(0)) };
    let mut flags = if matches!(verb, "get" | "head") { 5 } else { u8::from(verb == "post") * 4 };
    let mut depends = None;
    words.retain(|word| {
        let flag = match *word {
            "es" | "ack" => 1,
            "eh" => 4,
            "pad" => 8,
            "prio" | "self" => {
                depends = Some(if *word == "self" { stream } else { 0 });
                0x20
            }
            _ => return true,
        };
        flags |= flag;
        false
    });
    let (kind, mut payload) = payload(verb, stream, &words, target);
    if let Some(on) = depends {
        payload = [&on.to_be_bytes()[..], &[15], &payload].concat();
    }
    if flags & 8 != 0 {
        payload = [&[3][..], &payload, &[0; 3]].concat();
    }
    frame(kind, flags, if kind == 7 { 0 } else { stream }, &payload)
}

fn payload(verb: &str, stream: u32, words: &[&str], target: Target<'_>) -> (u8, Vec<u8>) {
    let four = |at: usize| number::<u32>(words[at]).to_be_bytes();
    let request = |method: &str| {
        let (scheme, authority) = (format!(":scheme={}", target.scheme), format!(":authority={}", target.authority));
        block(&[&[method, &scheme, ":path=/", &authority][..], words].concat(), target)
    };
    match verb {
        "data" => (0, words.iter().flat_map(|word| repeated(word).into_bytes()).collect()),
        "headers" => (1, block(words, target)),
        "get" => (1, request(":method=GET")),
        "head" => (1, request(":method=HEAD")),
        "post" => (1, request(":method=POST")),
        "priority" => (2, [&four(0)[..], &[words.get(1).map_or(15, |weight| number(weight))]].concat()),
        "rst" => (3, four(0).to_vec()),
        "settings" => (4, words.iter().flat_map(|word| setting(word)).collect()),
        "ping" => (6, words[0].as_bytes().to_vec()),
        "goaway" => (7, [stream.to_be_bytes(), four(0)].concat()),
        "window" => (8, four(0).to_vec()),
        "cont" => (9, block(words, target)),
        other => panic!("no such frame: {other}"),
    }
}

fn setting(word: &str) -> Vec<u8> {
    let (name, value) = word.split_once('=').expect("a setting has a value");
    [&number::<u16>(name).to_be_bytes()[..], &number::<u32>(value).to_be_bytes()].concat()
}

/// A block of literals that enter no table.
fn block(fields: &[&str], target: Target<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    for field in fields {
        // A pseudo-header field begins with a colon, and a name may be empty.
        let Some((name, value)) = field.split_once('=') else {
            out.extend(hex(field));
            continue;
        };
        out.push(0);
        literal(name, &mut out);
        literal(&repeated(&value.replace("SCHEME", target.scheme).replace("HOST", target.authority).replace('_', " ")), &mut out);
    }
    out
}

/// A length of up to two bytes more than the prefix (RFC 7541 §5.1), then the text.
fn literal(text: &str, out: &mut Vec<u8>) {
    let byte = |number: usize| u8::try_from(number).expect("not longer than 16 KiB");
    match text.len().checked_sub(127) {
        None => out.push(byte(text.len())),
        Some(more) => out.extend([127, byte(more % 128) | 128, byte(more / 128)]),
    }
    out.extend(text.bytes());
}

fn repeated(text: &str) -> String {
    match text.split_once('*') {
        Some((unit, count)) if !unit.is_empty() => unit.repeat(number(count)),
        _ => text.to_owned(),
    }
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = repeated(text).bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| pair.iter().fold(0, |byte, digit| byte * 16 + char::from(*digit).to_digit(16).expect("filtered"));
    digits.chunks(2).map(|pair| u8::try_from(byte(pair)).expect("two digits")).collect()
}

#[track_caller]
fn number<T: core::str::FromStr>(word: &str) -> T {
    word.parse().unwrap_or_else(|_not| panic!("not a number: {word}"))
}
