//! Numbers and text as opcodes spell them.

use cresset_core::{Error, Result, bail};

use super::node::{Node, NodeId};

pub(super) fn utf8(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| Error::runtime("UnpicklingError: text is not UTF-8"))
}

pub(super) fn text_or_bytes(bytes: &[u8]) -> Node {
    match std::str::from_utf8(bytes) {
        Ok(text) => Node::Str(text.to_owned()),
        Err(_) => Node::Bytes(bytes.to_vec()),
    }
}

/// A little-endian two's complement number of any length.
pub(super) fn integer(bytes: &[u8]) -> Node {
    let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
    let fill = if negative { 0xff } else { 0 };
    if bytes.len() > 8 {
        return Node::BigInt(bytes.to_vec());
    }
    let mut wide = [fill; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    Node::Int(i64::from_le_bytes(wide))
}

pub(super) fn decimal(digits: &str) -> Result<Node> {
    match digits.trim().parse() {
        Ok(value) => Ok(Node::Int(value)),
        Err(_) => bail!("UnpicklingError: '{digits:.40}' is no integer of 64 bits"),
    }
}

pub(super) fn memo_index(digits: &str) -> Result<u64> {
    digits.trim().parse().map_err(|_| Error::runtime("UnpicklingError: a memo index is no number"))
}

pub(super) fn pairs(items: &[NodeId]) -> Result<Vec<(NodeId, NodeId)>> {
    if !items.len().is_multiple_of(2) {
        bail!("UnpicklingError: odd number of items for a dict");
    }
    Ok(items.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
}

pub(super) fn unquote(text: &str) -> Result<&str> {
    let text = text.trim_end();
    let inner = ['"', '\''].iter().find_map(|q| text.strip_prefix(*q)?.strip_suffix(*q));
    inner.ok_or_else(|| Error::runtime("UnpicklingError: the STRING opcode argument must be quoted"))
}

/// Resolves backslashes: all of a string literal's, or only those of the raw encoding (`\u` and `\U`).
pub(super) fn unescape(text: &str, raw: bool) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        let mut tail = rest[at + 1..].chars();
        let kind = tail.next().unwrap_or('\\');
        let digits = match kind {
            'u' if raw => 4,
            'U' if raw => 8,
            'x' if !raw => 2,
            _ => 0,
        };
        rest = tail.as_str();
        match (digits, kind) {
            (0, 'n') if !raw => out.push(b'\n'),
            (0, 't') if !raw => out.push(b'\t'),
            (0, 'r') if !raw => out.push(b'\r'),
            (0, '\\' | '\'' | '"') if !raw => out.push(kind as u8),
            (0, _) => out.extend(format!("\\{kind}").bytes()),
            _ => {
                let code = rest.get(..digits).and_then(|hex| u32::from_str_radix(hex, 16).ok());
                let Some(code) = code else { bail!("UnpicklingError: a string has a broken escape") };
                rest = &rest[digits..];
                if raw {
                    out.extend(
                        char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER).to_string().bytes(),
                    );
                } else {
                    out.push(code as u8);
                }
            }
        }
    }
    out.extend_from_slice(rest.as_bytes());
    Ok(out)
}
