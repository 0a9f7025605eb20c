//! Passwords in addresses, which are never shown.

/// A text whose addresses have `***` in the place of their passwords.
pub(super) fn masked(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("://") {
        shown.push_str(before);
        shown.push_str("://");
        let end = behind
            .find(['/', '?', '#', '"', '\'', ' ', ','])
            .unwrap_or(behind.len());
        // A password may have any of these in it: the last `@` before a blank ends it.
        let blank = behind.find(['"', '\'', ' ']).unwrap_or(behind.len());
        let host = behind[..blank].rfind('@');
        match host.map(|host| (host, behind[..host].find(':'))) {
            Some((host, Some(colon))) => {
                shown.push_str(&behind[..colon]);
                shown.push_str(":***");
                rest = &behind[host..];
            }
            _ => {
                shown.push_str(&behind[..end]);
                rest = &behind[end..];
            }
        }
    }
    shown.push_str(rest);
    shown
}

/// Whether an address in it has a password.
pub(super) fn has_password(text: &str) -> bool {
    masked(text) != text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_of_an_address_is_masked_and_nothing_else() {
        let shown = [
            (
                "postgres://ann:secret@db:5432/shop",
                "postgres://ann:***@db:5432/shop",
            ),
            ("amqp://ann:s/e@c:r@mq/%2f", "amqp://ann:***@mq/%2f"),
            (
                "log = \"postgres://a:b@c/d\" # mine",
                "log = \"postgres://a:***@c/d\" # mine",
            ),
            ("postgres://ann@db/shop", "postgres://ann@db/shop"),
            ("/var/lib/shop/log.db", "/var/lib/shop/log.db"),
            (
                "http://127.0.0.1:9000/metrics",
                "http://127.0.0.1:9000/metrics",
            ),
        ];
        for (text, masked_text) in shown {
            assert_eq!(masked(text), masked_text);
            assert_eq!(has_password(text), text != masked_text);
        }
    }
}
