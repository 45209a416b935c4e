//! Prints what is wrong with a file, else what it means in full; without a file, the schema.
#![expect(clippy::print_stdout, reason = "it prints")]

use config::{compile, effective, load, schema};

fn main() {
    let Some(path) = std::env::args().nth(1) else {
        println!("{:#}", schema());
        return;
    };
    match load(path.as_ref()).and_then(|loaded| compile(&loaded, None).and_then(|_| effective(&loaded))) {
        Ok(text) => print!("{text}"),
        Err(rejections) => rejections.iter().for_each(|rejection| println!("{rejection}")),
    }
}
