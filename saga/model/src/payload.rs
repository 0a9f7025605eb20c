//! Payloads: the user's inputs and outputs as the JSON text that the log holds.

use alloc::{string::String, sync::Arc};
use core::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned, de::Error as _,
};
use serde_json::value::RawValue;

/// JSON text, exactly as it was written once; decoded only when read, cheap to clone.
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct Payload(Arc<str>);

impl Payload {
    /// Writes a value as JSON.
    ///
    /// # Errors
    /// What serde says, for instance of a map whose keys are not strings.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        serde_json::to_string(value).map(|text| Self(text.into()))
    }

    /// Takes text that must be JSON.
    ///
    /// # Errors
    /// Where it is not.
    pub fn parse(text: impl Into<Arc<str>>) -> Result<Self, serde_json::Error> {
        let text = text.into();
        let json = serde_json::from_str::<&RawValue>(&text)?.get();
        // White space around it is not part of the value.
        Ok(if json.len() == text.len() {
            Self(text)
        } else {
            Self(json.into())
        })
    }

    /// Takes text that is known to be JSON, because it was cut out of JSON or was checked before.
    pub fn from_json_text(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// `null`, the payload of nothing.
    pub fn null() -> Self {
        Self("null".into())
    }

    /// Reads it as a `T`.
    ///
    /// # Errors
    /// Where the text is not a `T`.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(&self.0)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, shared.
    pub fn text(&self) -> Arc<str> {
        self.0.clone()
    }
}

impl Default for Payload {
    fn default() -> Self {
        Self::null()
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        <&RawValue>::deserialize(&mut serde_json::Deserializer::from_str(&self.0))
            .map_err(serde::ser::Error::custom)?
            .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw =
            alloc::boxed::Box::<RawValue>::deserialize(deserializer).map_err(D::Error::custom)?;
        Ok(Self(String::from(raw.get()).into()))
    }
}
