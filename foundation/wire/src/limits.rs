//! What the wire accepts at most. The raw size of a body is the listener's to limit.

/// How deep a request may nest, in levels of structures, lists and maps. serde_json has the same limit.
/// It also bounds the stack that parsing, validating and dropping a tree can take.
pub const DEPTH_MAX: usize = 128;
/// A decoded `Content-Encoding: gzip` body, in bytes. Clients compress CloudWatch's PutMetricData (at most 1 MB) only.
pub const GZIP_DECODED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Key-value pairs of a form or a query string. Ref: none; elbv2's and ec2's largest inputs have some thousands.
pub const FORM_PAIRS_MAX: usize = 100_000;
/// Elements of an XML document. Ref: none; S3's DeleteObjects, the largest input, has some 3,000.
pub const XML_ELEMENTS_MAX: usize = 100_000;
/// Violations that one validation error lists; those beyond are not looked for.
pub const VIOLATIONS_MAX: usize = 20;
/// Characters of a rejected value that a message repeats.
pub const SHOWN_CHARS_MAX: usize = 1_024;
/// Work that one pattern with look-around may do, in fancy-regex's steps; beyond it the value does not match.
pub const PATTERN_STEPS_MAX: usize = 100_000;
