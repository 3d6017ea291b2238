//! The engine's rules, with a room for each concern.
