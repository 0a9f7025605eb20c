//! The least value of a type: what a simulated participant gives when nobody says what.
//!
//! It is made by what the type asks for when it is read: numbers are 0, texts, lists and maps are
//! empty, an `Option` is `None`, an enum is its first variant.

use alloc::string::{String, ToString};
use core::{any::type_name, fmt};

use serde::{
    de::{
        DeserializeSeed, Deserializer, EnumAccess, Error, IntoDeserializer, SeqAccess,
        VariantAccess, Visitor, value::StrDeserializer,
    },
    forward_to_deserialize_any,
};

use crate::{contract::Json, payload::Payload};

/// Makes the least value of a type.
pub(crate) type Sample = fn() -> Result<Payload, NoSample>;

/// The least value of a type is not a good one, as its own reading refuses it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no `{of}` can be made up: {why}")]
pub struct NoSample {
    /// The type.
    pub of: &'static str,
    /// What its reading says.
    pub why: String,
}

/// The least value of a type, as JSON that reads back.
///
/// # Errors
/// The type refuses it, or decides by the data itself what it reads.
pub(crate) fn sample<T: Json>() -> Result<Payload, NoSample> {
    let no = |why: String| NoSample {
        of: type_name::<T>(),
        why,
    };
    let value = T::deserialize(Least { depth: 0 }).map_err(|why| no(why.0))?;
    let payload = Payload::of(&value).map_err(|why| no(why.to_string()))?;
    payload.read::<T>().map_err(|why| no(why.to_string()))?;
    Ok(payload)
}

/// How deep values lie in each other at most: a type whose first variant holds itself has no end.
const DEPTH_MAX: u8 = 32;

/// Gives the least of whatever is asked for.
#[derive(Clone, Copy)]
struct Least {
    depth: u8,
}

impl Least {
    fn inner(self) -> Result<Self, Refused> {
        if self.depth == DEPTH_MAX {
            return Err(Refused("it holds itself without end".into()));
        }
        Ok(Self {
            depth: self.depth + 1,
        })
    }

    fn several(self, left: usize) -> Result<Several, Refused> {
        let of = self.inner()?;
        Ok(Several { of, left })
    }
}

macro_rules! zero {
    ($($method:ident $visit:ident),+) => {
        $(
            fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
                visitor.$visit(Default::default())
            }
        )+
    };
}

impl<'de> Deserializer<'de> for Least {
    type Error = Refused;

    zero!(
        deserialize_bool visit_bool, deserialize_i8 visit_i8, deserialize_i16 visit_i16,
        deserialize_i32 visit_i32, deserialize_i64 visit_i64, deserialize_i128 visit_i128,
        deserialize_u8 visit_u8, deserialize_u16 visit_u16, deserialize_u32 visit_u32,
        deserialize_u64 visit_u64, deserialize_u128 visit_u128, deserialize_f32 visit_f32,
        deserialize_f64 visit_f64, deserialize_str visit_borrowed_str,
        deserialize_string visit_string, deserialize_bytes visit_borrowed_bytes,
        deserialize_byte_buf visit_byte_buf
    );

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_char('a')
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_none()
    }

    /// The data decides what it is: it is nothing.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        visitor.visit_newtype_struct(self.inner()?)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_seq(self.several(0)?)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        visitor.visit_seq(self.several(len)?)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        visitor.visit_seq(self.several(len)?)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        let none: [(&str, &str); 0] = [];
        visitor.visit_map(serde::de::value::MapDeserializer::new(none.into_iter()))
    }

    /// In the order of its fields, so that no name is needed: some have several.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        visitor.visit_seq(self.several(fields.len())?)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        let first = variants
            .first()
            .ok_or_else(|| Refused("it has no variant".into()))?;
        visitor.visit_enum(First {
            name: first,
            of: self.inner()?,
        })
    }

    forward_to_deserialize_any! { unit unit_struct identifier ignored_any }
}

/// So many values.
struct Several {
    of: Least,
    left: usize,
}

impl<'de> SeqAccess<'de> for Several {
    type Error = Refused;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Refused> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        self.left = left;
        seed.deserialize(self.of).map(Some)
    }
}

/// The first variant of an enum.
struct First {
    name: &'static str,
    of: Least,
}

impl<'de> EnumAccess<'de> for First {
    type Error = Refused;
    type Variant = Least;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Least), Refused> {
        let name: StrDeserializer<'_, Refused> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, self.of))
    }
}

impl<'de> VariantAccess<'de> for Least {
    type Error = Refused;

    fn unit_variant(self) -> Result<(), Refused> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Refused> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_seq(self.several(len)?)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        visitor.visit_seq(self.several(fields.len())?)
    }
}

/// What a type says of a value that it does not take.
#[derive(Debug)]
struct Refused(String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for Refused {}

impl Error for Refused {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

#[cfg(test)]
mod tests {
    use alloc::{boxed::Box, collections::BTreeMap, vec::Vec};
    use core::time::Duration;

    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::message::SagaId;

    #[derive(Serialize, Deserialize)]
    struct Order {
        #[serde(alias = "number", alias = "nr")]
        id: u64,
        cents: i64,
        rate: f64,
        express: bool,
        size: char,
        lines: Vec<Line>,
        note: Option<String>,
        pay: Pay,
        tags: BTreeMap<String, Line>,
        place: (u8, Name),
        within: Duration,
        nothing: (),
        #[serde(default)]
        more: serde_json::Value,
    }

    #[derive(Serialize, Deserialize)]
    struct Line {
        sku: String,
    }

    #[derive(Serialize, Deserialize)]
    struct Name(String);

    #[derive(Serialize, Deserialize)]
    enum Pay {
        Card { token: String, line: Line },
        Gift,
    }

    fn made<T: Json>() -> Result<String, String> {
        let made = sample::<T>().map(|payload| payload.to_string());
        made.map_err(|no| no.to_string())
    }

    #[test]
    fn the_least_value_of_a_type_is_made_of_the_least_of_its_parts() {
        let order = concat!(
            r#"{"id":0,"cents":0,"rate":0.0,"express":false,"size":"a","lines":[],"note":null,"#,
            r#""pay":{"Card":{"token":"","line":{"sku":""}}},"tags":{},"place":[0,""],"#,
            r#""within":{"secs":0,"nanos":0},"nothing":null,"more":null}"#
        );
        assert_eq!(made::<Order>().as_deref(), Ok(order));
        assert_eq!(made::<()>().as_deref(), Ok("null"));
        assert_eq!(made::<Result<u8, String>>().as_deref(), Ok(r#"{"Ok":0}"#));
    }

    #[test]
    fn a_type_that_refuses_its_least_value_says_so() {
        let refused = made::<SagaId>().expect_err("an empty id is refused");
        assert!(
            refused.starts_with("no `sagalog_model::message::SagaId` can be made up: "),
            "{refused}"
        );
    }

    #[derive(Debug, Serialize, Deserialize)]
    enum Endless {
        More(Box<Self>),
    }

    #[derive(Serialize, Deserialize)]
    #[serde(tag = "by")]
    enum Tagged {
        Card { token: String },
    }

    #[test]
    fn a_type_without_a_least_value_has_an_end() {
        assert!(made::<Endless>().is_err_and(|why| why.ends_with("it holds itself without end")));
        assert!(made::<Tagged>().is_err());
    }
}
