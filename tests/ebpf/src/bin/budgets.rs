//! Prints what each kernel program costs, and fails when one costs too much: `cargo xtask ebpf`.
#![expect(clippy::print_stdout, reason = "this is what it is for")]

use ebpf::budget::budgets;

fn main() -> anyhow::Result<()> {
    let mut over = Vec::new();
    println!("{:<14} {:>12} {:>20} {:>14}", "program", "instructions", "verified (budget)", "stack (budget)");
    for budget in budgets() {
        let cost = budget.measure()?;
        let verified = format!("{} ({})", cost.verified, budget.verified_max);
        let stack = format!("{} ({})", cost.stack, budget.stack_max);
        println!("{:<14} {:>12} {verified:>20} {stack:>14}", budget.name, cost.instructions);
        if !budget.holds(cost) {
            over.push(budget.name);
        }
    }
    anyhow::ensure!(over.is_empty(), "over budget: {}", over.join(", "));
    Ok(())
}
