//! No program costs the verifier more than it may.

#[test]
fn programs_stay_in_their_budgets() {
    for budget in ebpf::budget::budgets() {
        let cost = budget.measure().expect("loads");
        assert!(budget.holds(cost), "{}: {cost:?}, at most {} and {}", budget.name, budget.verified_max, budget.stack_max);
        // A measure that sees nothing would hold anything.
        assert!(cost.verified > cost.instructions / 2 && cost.stack > 0, "{}: {cost:?}", budget.name);
    }
}
