//! Damage at random, but the same on every machine.

/// A linear congruence, of which the upper half is used.
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    /// A number below the bound.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound.max(1)
    }

    /// That many bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.below(256) as u8).collect()
    }

    /// A seed with bytes flipped, cut, doubled, and crossed with others.
    pub fn damaged(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = seeds.get(self.below(seeds.len())).cloned().unwrap_or_default();
        for _ in 0..=self.below(4) {
            self.damage(&mut bytes, seeds);
        }
        bytes
    }

    fn damage(&mut self, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let place = self.below(bytes.len() + 1);
        match self.below(6) {
            0 => bytes.truncate(place),
            1 => bytes.insert(place, self.below(256) as u8),
            2 if place < bytes.len() => bytes[place] ^= 1 << self.below(8),
            3 if place < bytes.len() => {
                bytes[place] = [0, 1, 0x7f, 0x80, 0xff, b'"', b'9', b'/'][self.below(8)];
            }
            4 => {
                let part = bytes[place..(place + self.below(64)).min(bytes.len())].to_vec();
                let at = self.below(bytes.len() + 1);
                bytes.splice(at..at, part);
            }
            _ => {
                let other = &seeds[self.below(seeds.len())];
                let from = self.below(other.len() + 1);
                bytes.truncate(place);
                bytes.extend(&other[from..]);
            }
        }
    }
}
