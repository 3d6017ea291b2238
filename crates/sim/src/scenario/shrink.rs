//! A failing scenario made smaller.

use super::Scenario;

impl Scenario {
    /// Leaves steps out as long as `fails` still says so of what is left; returns the places of
    /// those that are needed, in order.
    pub fn shrink(&self, fails: impl Fn(&Self) -> bool) -> Vec<usize> {
        let mut places: Vec<_> = (0..self.steps.len()).collect();
        let mut len = places.len().div_ceil(2);
        while len > 0 {
            let mut at = 0;
            while at < places.len() {
                let mut fewer = places.clone();
                fewer.drain(at..(at + len).min(places.len()));
                if fails(&self.with_steps(&fewer)) {
                    places = fewer;
                } else {
                    at += len;
                }
            }
            len /= 2;
        }
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_steps_are_left_without_which_it_does_not_fail() {
        let scenario = Scenario::generate(1);
        let (first, last) = (&scenario.steps[2], &scenario.steps[8]);
        let fails =
            |smaller: &Scenario| smaller.steps.contains(first) && smaller.steps.contains(last);
        assert_eq!(scenario.shrink(fails), [2, 8]);
    }
}
