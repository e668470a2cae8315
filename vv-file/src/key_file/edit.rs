//! Changes in place: what is not changed stays as it is, byte for byte.
//!
//! A change replaces one span of the text and parses the result. A change that does not read back as it was made is
//! refused.

use alloc::vec::Vec;
use core::ops::Range;

use super::{KeyFile, encode_item_into, encode_string_into, parse};
use crate::{error::EditError, wiped::Wiped};

impl KeyFile {
    /// Sets the raw text of a value (`g_key_file_set_value`).
    ///
    /// Of a repeated key the last line is changed, which is the one that counts. A key that is not there
    /// comes behind the last key of its group, and a group that is not there at the end of the file; line
    /// ends are those of the line before.
    ///
    /// # Errors
    /// Names and values that would not read back as they are, and the limits that the file was read with.
    pub fn set_value(
        &mut self,
        group: impl AsRef<[u8]>,
        key: impl AsRef<[u8]>,
        raw: impl AsRef<[u8]>,
    ) -> Result<(), EditError> {
        let (group, key, raw) = (group.as_ref(), key.as_ref(), raw.as_ref());
        check_names(group, key)?;
        let source = match self.find(group, key) {
            Some(entry) => self.replaced(entry.value.clone(), &[raw]),
            None => self.with_new_entry(group, key, raw),
        };
        self.adopt(source, |changed| {
            let value = changed.get(group, key).ok_or(EditError::KeyName)?;
            (value.raw() == raw).then_some(()).ok_or(EditError::Value)
        })
    }

    /// Sets a string, with its escapes (`g_key_file_set_string`).
    ///
    /// # Errors
    /// As for [`set_value`](Self::set_value): a NUL cannot be written, nor a form feed in front.
    pub fn set_string(&mut self, group: impl AsRef<[u8]>, key: impl AsRef<[u8]>, text: &str) -> Result<(), EditError> {
        let mut raw = Wiped::with_capacity(super::encoded_bound(text.as_bytes()));
        encode_string_into(text.as_bytes(), &mut raw);
        self.set_value(group, key, raw.as_slice())
    }

    /// Sets a list, with its escapes (`g_key_file_set_string_list`).
    ///
    /// # Errors
    /// As for [`set_string`](Self::set_string).
    pub fn set_list<T: AsRef<str>>(
        &mut self,
        group: impl AsRef<[u8]>,
        key: impl AsRef<[u8]>,
        items: &[T],
    ) -> Result<(), EditError> {
        let mut raw = Wiped::new(Vec::new());
        for item in items {
            encode_item_into(item.as_ref().as_bytes(), &mut raw);
        }
        self.set_value(group, key, raw.as_slice())
    }

    /// Removes a key, with all its lines: an earlier one would count otherwise. Gives whether it was there.
    ///
    /// # Errors
    /// The file without it would be refused, which only happens for an `Encoding` below it.
    pub fn remove_key(&mut self, group: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<bool, EditError> {
        let (group, key) = (group.as_ref(), key.as_ref());
        let lines: Vec<_> = self
            .entries(group)
            .filter(|(_, entry)| self.slice(&entry.key) == key)
            .filter_map(|(index, _)| Some(self.lines.get(index)?.span.clone()))
            .collect();
        if lines.is_empty() {
            return Ok(false);
        }
        let source = self.without(&lines);
        self.adopt(source, |_| Ok(()))?;
        Ok(true)
    }

    /// Removes a group with all that stands under its name. Gives whether it was there.
    ///
    /// # Errors
    /// The file without it would be refused: the group behind it comes first then, and its `Encoding` counts.
    pub fn remove_group(&mut self, group: impl AsRef<[u8]>) -> Result<bool, EditError> {
        let name = group.as_ref();
        let Some(group) = self.group(name) else {
            return Ok(false);
        };
        let mut spans: Vec<_> = self.chain(group.lines).map(|(_, line)| line.span.clone()).collect();
        // The lines with the name are in no chain.
        spans.extend(self.lines.iter().filter_map(|line| {
            let (text, _) = parse::split_line(self.slice(&line.span));
            match parse::statement(text) {
                Ok(parse::Statement::Group(found)) if found == name => Some(line.span.clone()),
                _ => None,
            }
        }));
        spans.sort_unstable_by_key(|span| span.start);
        let source = self.without(&spans);
        self.adopt(source, |_| Ok(()))?;
        Ok(true)
    }

    fn with_new_entry(&self, group: &[u8], key: &[u8], raw: &[u8]) -> Wiped {
        let Some(found) = self.group(group) else {
            let end = self.source.len();
            let newline = self.line_end_at(end);
            let open = if self.source.is_empty() || self.source.ends_with(b"\n") {
                b""
            } else {
                newline
            };
            let gap = if self.source.is_empty() { b"" } else { newline };
            let parts = [open, gap, b"[", group, b"]", newline, key, b"=", raw, newline];
            return self.replaced(end..end, &parts);
        };
        // Behind the last key, or behind the name of a group without keys.
        let last = self.entries(group).last().map(|(index, _)| index);
        let line = match last {
            Some(index) => self.lines.get(index),
            None => self.lines.iter().find(|line| found.name.start < line.span.end),
        };
        let end = line.map_or(self.source.len(), |line| line.span.end);
        let newline = self.line_end_at(end);
        let is_open = self.source.get(..end).is_some_and(|before| !before.ends_with(b"\n"));
        match is_open {
            // The last line stays the last and goes on having no line end.
            true => self.replaced(end..end, &[newline, key, b"=", raw]),
            false => self.replaced(end..end, &[key, b"=", raw, newline]),
        }
    }

    /// The line end of the last whole line before a place.
    fn line_end_at(&self, place: usize) -> &'static [u8] {
        let before = self.source.get(..place).unwrap_or_default();
        let end = before.iter().rposition(|&byte| byte == b'\n');
        match end.and_then(|end| before.get(..end)) {
            Some(line) if line.ends_with(b"\r") => b"\r\n",
            _ => b"\n",
        }
    }

    fn replaced(&self, span: Range<usize>, parts: &[&[u8]]) -> Wiped {
        let added = parts.iter().fold(0_usize, |sum, part| sum.saturating_add(part.len()));
        // Large enough from the start: a buffer that grows leaves copies of secrets behind.
        let mut source = Wiped::with_capacity(self.source.len().saturating_add(added));
        source.extend_from_slice(self.source.get(..span.start).unwrap_or_default());
        for part in parts {
            source.extend_from_slice(part);
        }
        source.extend_from_slice(self.source.get(span.end..).unwrap_or_default());
        source
    }

    /// The text without some stretches, which are in order.
    fn without(&self, spans: &[Range<usize>]) -> Wiped {
        let mut source = Wiped::with_capacity(self.source.len());
        let mut from = 0;
        for span in spans {
            source.extend_from_slice(self.source.get(from..span.start).unwrap_or_default());
            from = span.end;
        }
        source.extend_from_slice(self.source.get(from..).unwrap_or_default());
        source
    }

    /// Takes a new text over if it reads as it should.
    fn adopt(&mut self, source: Wiped, check: impl FnOnce(&Self) -> Result<(), EditError>) -> Result<(), EditError> {
        let structure = Self::structure(&source, &self.limits).map_err(|error| {
            // What was put in spoils at most its own line, and a value does so with a line end.
            if error.kind.code() == Some(crate::error::ErrorCode::UnknownEncoding) || error.kind.code().is_none() {
                EditError::File(error)
            } else {
                EditError::Value
            }
        })?;
        let changed = Self::new(source, &self.limits, structure);
        check(&changed)?;
        *self = changed;
        Ok(())
    }
}

/// Checks that names are read as they are written.
fn check_names(group: &[u8], key: &[u8]) -> Result<(), EditError> {
    let bracketed = [b"[", group, b"]"].concat();
    // What is read has no line end and no NUL in it: a name with one is another.
    match parse::statement(parse::split_line(&bracketed).0) {
        Ok(parse::Statement::Group(name)) if name == group => {}
        _ => return Err(EditError::GroupName),
    }
    let line = [key, b"="].concat();
    match parse::statement(parse::split_line(&line).0) {
        Ok(parse::Statement::Entry { key: name, .. }) if name == key && parse::check_key(key).is_ok() => Ok(()),
        _ => Err(EditError::KeyName),
    }
}
