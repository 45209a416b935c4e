//! Growth of the tables that have an entry for each connection.

/// Makes room for one more, by a quarter instead of by doubling: with thousands of connections a half-empty table is memory for each of them.
pub(crate) fn make_room<T>(table: &mut Vec<T>) {
    if table.len() == table.capacity() {
        table.reserve_exact((table.len() / 4).max(16));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_a_quarter_is_empty() {
        let mut table = Vec::new();
        for entry in 0..10_000_u32 {
            make_room(&mut table);
            table.push(entry);
            assert!(table.capacity() <= table.len() + (table.len() / 4).max(16));
        }
    }
}
