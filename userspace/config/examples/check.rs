//! Prints what is wrong with a file, or what it means.
#![expect(clippy::print_stdout, reason = "it prints")]
fn main() {
    let path = std::env::args().nth(1).expect("a path");
    match config::load(path.as_ref()).and_then(|loaded| config::compile(&loaded, None)) {
        Ok(snapshot) => println!("{snapshot:#?}"),
        Err(rejections) => rejections.iter().for_each(|rejection| println!("{rejection}")),
    }
}
