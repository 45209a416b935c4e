//! "Did you mean": the nearest of the words that would have been right.

/// Words longer than this get no suggestion: the comparison is quadratic.
const WORD_BYTES_MAX: usize = 64;

/// The candidate that `word` most probably stands for, if it is near enough to any.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > WORD_BYTES_MAX {
        return None;
    }
    let nearest = candidates
        .into_iter()
        .filter(|candidate| candidate.len().abs_diff(word.len()) <= 3 && candidate.len() <= WORD_BYTES_MAX)
        .map(|candidate| (distance(word.as_bytes(), candidate.as_bytes()), candidate))
        .min()?;
    (nearest.0 <= 1 + word.len() / 4).then_some(nearest.1)
}

/// Insertions, removals, replacements and swaps of neighbours between two words.
fn distance(left: &[u8], right: &[u8]) -> usize {
    let width = right.len() + 1;
    let mut before: Vec<usize> = vec![0; width];
    let mut above: Vec<usize> = (0..width).collect();
    for (row, from) in left.iter().enumerate() {
        let mut current = vec![row + 1; width];
        for (column, to) in right.iter().enumerate() {
            let replaced = above[column] + usize::from(from != to);
            current[column + 1] = replaced.min(above[column + 1] + 1).min(current[column] + 1);
            let swapped = row > 0 && column > 0 && left[row - 1] == *to && right[column - 1] == *from;
            if swapped {
                current[column + 1] = current[column + 1].min(before[column - 1] + 1);
            }
        }
        before = core::mem::replace(&mut above, current);
    }
    above[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found_when_it_is_near() {
        for (word, expect) in
            [("endpoint", Some("endpoints")), ("balanec", Some("balance")), ("timeout", Some("timeouts")), ("colour", None), ("", None)]
        {
            assert_eq!(nearest(word, ["endpoints", "balance", "timeouts", "limits"]), expect, "{word}");
        }
    }

    #[test]
    fn distance_counts_edits() {
        for (left, right, expect) in [("", "", 0), ("a", "", 1), ("abc", "acb", 1), ("kitten", "sitting", 3), ("to", "too", 1)] {
            assert_eq!(distance(left.as_bytes(), right.as_bytes()), expect, "{left} {right}");
            assert_eq!(distance(right.as_bytes(), left.as_bytes()), expect, "{right} {left}");
        }
    }
}
