//! How far a YAML text unfolds through its aliases, known before a tree is made of it.

use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, Error as _, MapAccess, SeqAccess, VariantAccess, Visitor,
};

/// How many values a text may usually unfold to.
const USUAL: usize = 1_000_000;
/// So many bytes of text count as one value more.
const BYTES: usize = 32;

/// What may still be read of YAML that others wrote. The reader bounds how often an alias is followed, not what that
/// comes to: some kilobytes of aliases to aliases can unfold to more than any memory.
#[derive(Debug)]
pub struct Unfolding {
    left: usize,
    over: bool,
}

/// A text unfolds to more than is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("its aliases unfold to more values than are read")]
pub struct UnfoldsTooFar;

impl Default for Unfolding {
    fn default() -> Self {
        Self::of(USUAL)
    }
}

impl Unfolding {
    /// A bound of its own.
    pub fn of(most: usize) -> Self {
        Self { left: most, over: false }
    }

    /// Counts what a text unfolds to, without keeping any of it. Texts counted by one bound share it. A text without
    /// aliases is no larger than it looks and not counted; what is no YAML is left to its reader, who has to stop there.
    ///
    /// # Errors
    /// It is more than is left.
    pub fn count(&mut self, text: &str) -> Result<(), UnfoldsTooFar> {
        if text.contains('*') {
            for document in serde_yaml::Deserializer::from_str(text) {
                // What is wrong with the text its reader tells, and reads no further either.
                if Count(self).deserialize(document).is_err() {
                    break;
                }
            }
        }
        if self.over { Err(UnfoldsTooFar) } else { Ok(()) }
    }

    fn charge<E: de::Error>(&mut self, bytes: usize) -> Result<(), E> {
        match self.left.checked_sub(1 + bytes / BYTES) {
            Some(left) if !self.over => {
                self.left = left;
                Ok(())
            }
            _ => {
                self.over = true;
                Err(E::custom(UnfoldsTooFar))
            }
        }
    }
}

struct Count<'a>(&'a mut Unfolding);

impl<'de> DeserializeSeed<'de> for Count<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.0.over {
            return Err(D::Error::custom(UnfoldsTooFar));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Count<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("any YAML value")
    }
    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.0.charge(0)
    }
    fn visit_none<E: de::Error>(self) -> Result<(), E> {
        self.0.charge(0)
    }
    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<(), D::Error> {
        inner.deserialize_any(self)
    }
    fn visit_bool<E: de::Error>(self, _: bool) -> Result<(), E> {
        self.0.charge(0)
    }
    fn visit_i64<E: de::Error>(self, _: i64) -> Result<(), E> {
        self.0.charge(0)
    }
    fn visit_u64<E: de::Error>(self, _: u64) -> Result<(), E> {
        self.0.charge(0)
    }
    fn visit_i128<E: de::Error>(self, _: i128) -> Result<(), E> {
        self.0.charge(0)
    }
    fn visit_u128<E: de::Error>(self, _: u128) -> Result<(), E> {
        self.0.charge(0)
    }
    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        self.0.charge(0)
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        self.0.charge(text.len())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        self.0.charge(0)?;
        while list.next_element_seed(Count(&mut *self.0))?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.0.charge(0)?;
        while map.next_key_seed(Count(&mut *self.0))?.is_some() {
            map.next_value_seed(Count(&mut *self.0))?;
        }
        Ok(())
    }
    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<(), A::Error> {
        let ((), inner) = tagged.variant_seed(Count(&mut *self.0))?;
        inner.newtype_variant_seed(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_aliases_unfold_to_is_counted() {
        let bomb =
            format!("a: &a [{}]\nb: &b [{}]\nc: [{}]\n", "0,".repeat(1000), "*a,".repeat(100), "*b,".repeat(1000));
        for text in [
            bomb.clone(),
            format!("ok: 1\n---\n{bomb}"),
            format!("a: &a {}\nb: [{}]\n", "x".repeat(40_000), "*a,".repeat(10_000)),
            format!("a: &a !t [{}]\nb: !t [{}]\n", "0,".repeat(2000), "*a,".repeat(2000)),
        ] {
            assert_eq!(Unfolding::default().count(&text), Err(UnfoldsTooFar), "{}", &text[..20]);
        }
        for text in ["a: &a [1, 2]\nb: {<<: {c: 1}, d: *a}\n", "at: '* * * * *'\n", "a: *nobody", "a: &a [*a]\n", ""] {
            assert_eq!(Unfolding::default().count(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn texts_share_a_bound() {
        let text = "a: &a [1, 2, 3]\nb: [*a, *a]\n";
        let mut one = Unfolding::of(20);
        assert_eq!(one.count(text), Ok(()));
        assert_eq!((one.count(text), one.count("a: 1")), (Err(UnfoldsTooFar), Err(UnfoldsTooFar)));
    }
}
