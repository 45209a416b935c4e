//! When an endpoint counts as well: so many good looks in a row bring it up, so many bad ones down. The first look of all decides by itself, so
//! that a start is neither blind nor slow.

/// What is held of an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// Nobody has looked yet.
    #[default]
    Unknown,
    /// It is well.
    Up,
    /// It is not.
    Down,
}

/// One check of one endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Judge {
    rise: u32,
    fall: u32,
    standing: Standing,
    /// Looks in a row that spoke against the standing.
    against: u32,
}

impl Judge {
    /// After `rise` good looks in a row it is up, after `fall` bad ones down.
    pub fn new(rise: u32, fall: u32) -> Self {
        Self { rise, fall, standing: Standing::Unknown, against: 0 }
    }

    /// What is held of it now.
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// A look has found it well, or not. Gives the standing after it.
    pub fn look(&mut self, well: bool) -> Standing {
        let (says, needed) = if well { (Standing::Up, self.rise) } else { (Standing::Down, self.fall) };
        if self.standing == says {
            self.against = 0;
        } else {
            self.against += 1;
            if self.standing == Standing::Unknown || self.against >= needed {
                self.standing = says;
                self.against = 0;
            }
        }
        self.standing
    }
}

/// What several checks say together: down when one says so, up when all do.
pub fn together(standings: impl IntoIterator<Item = Standing>) -> Standing {
    standings.into_iter().fold(Standing::Up, |sum, one| match (sum, one) {
        (Standing::Down, _) | (_, Standing::Down) => Standing::Down,
        (Standing::Unknown, _) | (_, Standing::Unknown) => Standing::Unknown,
        (Standing::Up, Standing::Up) => Standing::Up,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    #[test]
    fn a_row_of_looks_changes_the_standing() {
        // Looks (+ good, - bad) and the standing after each (u up, d down).
        for (rise, fall, looks, standings) in [
            (2, 3, "+", "u"),
            (2, 3, "-", "d"),
            (2, 3, "+--+---", "uuuuuud"),
            (2, 3, "-+-++", "ddddu"),
            (1, 1, "+-+-", "udud"),
            (3, 2, "--+++-+--", "dddduuuud"),
        ] {
            let mut judge = Judge::new(rise, fall);
            let told: String = looks
                .chars()
                .map(|look| match judge.look(look == '+') {
                    Standing::Up => 'u',
                    Standing::Down => 'd',
                    Standing::Unknown => '?',
                })
                .collect();
            assert_eq!(told, standings, "{looks} of {rise}/{fall}");
        }
    }

    #[test]
    fn several_checks_are_one() {
        use Standing::{Down, Unknown, Up};
        for (standings, sum) in
            [(&[][..], Up), (&[Up, Up], Up), (&[Up, Unknown], Unknown), (&[Unknown, Down], Down), (&[Up, Down, Up], Down)]
        {
            assert_eq!(together(standings.iter().copied()), sum, "{standings:?}");
        }
    }
}
