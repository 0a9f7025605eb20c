//! The stored form of a batch's events: one JSON array.
//!
//! `[kind, schema, control]` is an event without data, `[kind, schema, control, data]` one with
//! data, `[kind, schema, control, null, "hash"]` one whose data was erased. Control and data are
//! copied byte for byte, in both directions, because their bytes are what the leaves hash.

use std::{borrow::Cow, fmt, sync::Arc};

use sagalog_model::log::{Data, Digest, SchemaVersion};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::row::Recorded;

/// The longest name of an event type, in bytes.
const MAX_KIND_BYTES: usize = 64;

/// Appends the stored form of `events` to `body`.
pub(crate) fn encode(events: &[Recorded], body: &mut Vec<u8>) {
    body.push(b'[');
    for (index, event) in events.iter().enumerate() {
        body.extend_from_slice(if index == 0 { b"[\"" } else { b",[\"" });
        body.extend_from_slice(event.kind.as_bytes());
        body.extend_from_slice(b"\",");
        number(event.schema.get(), body);
        body.push(b',');
        body.extend_from_slice(event.control.as_bytes());
        match &event.data {
            Data::None => {}
            Data::Inline(data) => {
                body.push(b',');
                body.extend_from_slice(data.as_bytes());
            }
            Data::Erased(digest) => {
                body.extend_from_slice(b",null,\"");
                hex(digest, body);
                body.push(b'"');
            }
        }
        body.push(b']');
    }
    body.push(b']');
}

/// Reads the stored form back.
pub(crate) fn decode(body: &str) -> Result<Vec<Recorded>, serde_json::Error> {
    let events: Vec<Stored> = serde_json::from_str(body)?;
    Ok(events.into_iter().map(|stored| stored.0).collect())
}

/// Why an event could not be written so that it reads back the same, if so.
pub(crate) fn fault(event: &Recorded) -> Option<String> {
    let kind = &event.kind;
    if kind.is_empty()
        || kind.len() > MAX_KIND_BYTES
        || !kind.bytes().all(|byte| byte.is_ascii_alphanumeric())
    {
        return Some(format!(
            "its type must be 1 to {MAX_KIND_BYTES} ASCII letters and digits, this one is {kind:?}"
        ));
    }
    if let Err(why) = exact_json(&event.control) {
        return Some(format!(
            "the control of its {kind} is not JSON that can be stored as it is: {why}"
        ));
    }
    if let Data::Inline(data) = &event.data
        && let Err(why) = exact_json(data)
    {
        return Some(format!(
            "the data of its {kind} is not JSON that can be stored as it is: {why}"
        ));
    }
    None
}

/// JSON without anything around it: a reader cuts values without the space between them.
fn exact_json(text: &str) -> Result<(), String> {
    let space =
        |byte: Option<&u8>| byte.is_some_and(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
    if space(text.as_bytes().first()) || space(text.as_bytes().last()) {
        return Err("it has white space around it".to_owned());
    }
    serde_json::from_str::<IgnoredAny>(text)
        .map(|_| ())
        .map_err(|error| error.to_string())
}

fn number(mut number: u16, to: &mut Vec<u8>) {
    let mut digits = [0; 5];
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    to.extend_from_slice(&digits[first..]);
}

fn hex(digest: &Digest, to: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in digest.0 {
        to.extend_from_slice(&[
            DIGITS[usize::from(byte >> 4)],
            DIGITS[usize::from(byte & 15)],
        ]);
    }
}

/// An event as it stands in the array.
struct Stored(Recorded);

impl<'de> Deserialize<'de> for Stored {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(StoredVisitor).map(Self)
    }
}

struct StoredVisitor;

impl<'de> Visitor<'de> for StoredVisitor {
    type Value = Recorded;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event: [type, schema version, control, data, hash of erased data]")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Recorded, A::Error> {
        let missing = |index| A::Error::invalid_length(index, &Self);
        let kind: &str = seq.next_element()?.ok_or_else(|| missing(0))?;
        if kind.len() > MAX_KIND_BYTES {
            return Err(A::Error::custom("an event's type is too long"));
        }
        let schema = SchemaVersion::new(seq.next_element()?.ok_or_else(|| missing(1))?);
        let control: &RawValue = seq.next_element()?.ok_or_else(|| missing(2))?;
        let data = match seq.next_element::<&RawValue>()? {
            None => Data::None,
            Some(data) => match seq.next_element::<&str>()? {
                None => Data::Inline(Arc::from(data.get())),
                Some(hash) if data.get() == "null" => {
                    Data::Erased(Digest::parse(hash).ok_or_else(|| {
                        A::Error::custom("the hash of erased data is not 64 hex digits")
                    })?)
                }
                Some(_) => {
                    return Err(A::Error::custom(
                        "an event has data and the hash of erased data",
                    ));
                }
            },
        };
        if seq.next_element::<IgnoredAny>()?.is_some() {
            return Err(A::Error::invalid_length(6, &self));
        }
        Ok(Recorded {
            kind: Cow::Owned(kind.to_owned()),
            schema,
            control: control.get().to_owned(),
            data,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just("-0.10E+5".to_owned()),
            Just("123456789012345678901234567890".to_owned()),
            any::<bool>().prop_map(|bool| bool.to_string()),
            any::<String>().prop_map(|text| serde_json::to_string(&text).expect("text is JSON")),
        ];
        leaf.prop_recursive(3, 12, 4, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(" , "))),
                vec((any::<String>(), inner), 0..4).prop_map(|fields| {
                    let name = |name| serde_json::to_string(name).expect("text is JSON");
                    let fields: Vec<_> = fields
                        .iter()
                        .map(|(k, v)| format!("{} :\t{v}", name(k)))
                        .collect();
                    format!("{{{}}}", fields.join(","))
                }),
            ]
        })
    }

    fn event() -> impl Strategy<Value = Recorded> {
        let data = prop_oneof![
            Just(Data::None),
            json().prop_map(|json| Data::Inline(json.into())),
            any::<[u8; 32]>().prop_map(|hash| Data::Erased(Digest(hash))),
        ];
        ("[A-Za-z0-9]{1,64}", any::<u16>(), json(), data).prop_map(
            |(kind, schema, control, data)| Recorded {
                kind: Cow::Owned(kind),
                schema: SchemaVersion::new(schema),
                control,
                data,
            },
        )
    }

    proptest! {
        #[test]
        fn events_read_back_byte_for_byte(events in vec(event(), 1..5)) {
            prop_assert!(events.iter().all(|event| fault(event).is_none()));
            let mut body = Vec::new();
            encode(&events, &mut body);
            let body = String::from_utf8(body).expect("made of text");
            prop_assert_eq!(decode(&body).expect("just encoded"), events);
        }

        #[test]
        fn any_text_decodes_or_is_refused(body in ".*") {
            let _ = decode(&body);
        }
    }

    /// What others wrote is hashed, and hashes have room for so much.
    #[test]
    fn a_type_that_is_too_long_is_refused() {
        let body = |bytes| format!("[[\"{}\",1,{{}}]]", "A".repeat(bytes));
        assert!(decode(&body(MAX_KIND_BYTES)).is_ok());
        assert!(decode(&body(MAX_KIND_BYTES + 1)).is_err());
    }

    #[test]
    fn data_that_is_null_is_not_erased_data() {
        let hash = "00".repeat(32);
        let events = decode(&format!(
            "[[\"A\",1,{{}},null],[\"A\",1,{{}},null,\"{hash}\"],[\"A\",1,{{}}]]"
        ))
        .expect("valid");
        let data: Vec<_> = events.into_iter().map(|event| event.data).collect();
        assert_eq!(
            data,
            [
                Data::Inline("null".into()),
                Data::Erased(Digest([0; 32])),
                Data::None
            ]
        );
    }

    #[test]
    fn what_would_not_read_back_the_same_is_refused() {
        let event = |kind: &'static str, control: &str| Recorded {
            kind: Cow::Borrowed(kind),
            schema: SchemaVersion::new(1),
            control: control.to_owned(),
            data: Data::None,
        };
        assert!(fault(&event("Fine", "{}")).is_none());
        for (kind, control) in [
            ("", "{}"),
            ("not\"fine", "{}"),
            ("A", ""),
            ("A", " {}"),
            ("A", "{"),
            ("A", "{},1"),
            ("A", "{}]"),
        ] {
            assert!(fault(&event(kind, control)).is_some(), "{kind} {control}");
        }
    }
}
