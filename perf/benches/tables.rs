//! The tables of the kernel layer: what a change of a cluster's members costs, and what a change of their health.
//!
//! A change is worth a thought above 5 ms: so long new connections still go by the old table.

use core::hint::black_box;
use criterion::Criterion;
use l4::{Maglev, Member, TableSize};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for count in [3, 100, 1_000] {
        build(&mut criterion, count);
    }
    successors(&mut criterion);
    criterion.final_summary();
}

fn names(count: u32) -> Vec<String> {
    (0..count).map(|number| format!("10.1.{}.{}:443", number / 256, number % 256)).collect()
}

fn members(names: &[String], weights: u32) -> Vec<Member<'_>> {
    (0..).zip(names).map(|(number, name)| Member { name: name.as_bytes(), weight: 1 + number % weights }).collect()
}

/// From members to a table, all of one weight and of ten different ones.
fn build(criterion: &mut Criterion, count: u32) {
    let names = names(count);
    for weights in [1, 10] {
        let members = members(&names, weights);
        criterion.bench_function(&format!("table/{count} members, {weights} weights"), |bench| {
            bench.iter(|| Maglev::new(TableSize::DEFAULT, 7, black_box(&members)));
        });
    }
}

/// Who comes next in every slot, while a tenth of a thousand members is away.
fn successors(criterion: &mut Criterion) {
    let names = names(1_000);
    let table = Maglev::new(TableSize::DEFAULT, 7, &members(&names, 1));
    criterion.bench_function("table/next in every slot, a tenth away", |bench| {
        bench.iter(|| (0..TableSize::DEFAULT.slots()).filter_map(|slot| table.first(slot, |place| place % 10 != 0)).sum::<u32>());
    });
}
