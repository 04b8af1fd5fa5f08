//! Vectors from the guide's texts; one line a vector.

use super::Transformation;

fn check(name: &str, input: &[u8], expected: &[u8]) {
    let transformation = Transformation::parse(name).expect("a transformation of the API");
    let got = transformation.apply(input).unwrap_or_else(|| input.to_vec());
    assert_eq!(
        String::from_utf8_lossy(&got),
        String::from_utf8_lossy(expected),
        "{name} of {:?}",
        String::from_utf8_lossy(input)
    );
    assert_eq!(got, expected, "{name}, bytes");
}

#[test]
fn all_31_have_names_that_parse_back() {
    assert_eq!(Transformation::ALL.len(), 31);
    for transformation in Transformation::ALL {
        assert_eq!(Transformation::parse(transformation.name()), Some(*transformation));
    }
    assert_eq!(Transformation::parse("ROT13"), None);
}

#[test]
fn none_and_case() {
    check("NONE", b"A b\0", b"A b\0");
    check("LOWERCASE", b"AbC\xc4", b"abc\xc4");
    check("UPPERCASE", b"AbC\xe4", b"ABC\xe4");
}

#[test]
fn white_space() {
    check("COMPRESS_WHITE_SPACE", b"a \t\n\x0b\x0c\r b\xa0\xa0c", b"a b c");
    check("REMOVE_WHITESPACE", b" a\tb\xa0c\n", b"abc");
    check("TRIM", b" \ta b\n", b"a b");
    check("TRIM_LEFT", b" a ", b"a ");
    check("TRIM_RIGHT", b" a ", b" a");
    check("TRIM", b"   ", b"");
}

#[test]
fn nulls() {
    check("REMOVE_NULLS", b"a\0b\0", b"ab");
    check("REPLACE_NULLS", b"a\0b", b"a b");
}

#[test]
fn comments() {
    check("REPLACE_COMMENTS", b"a/*x*/b/*y*//*z*/c", b"a b  c");
    check("REPLACE_COMMENTS", b"a/* open", b"a ");
    check("REPLACE_COMMENTS", b"a*/b", b"a*/b");
    check("REPLACE_COMMENTS", b"a/*/b", b"a ");
    check("REMOVE_COMMENTS_CHAR", b"un/**/ion--sel#ect", b"unionselect");
}

#[test]
fn html_entities() {
    check("HTML_ENTITY_DECODE", b"&lt;a&gt;&quot;&amp;&nbsp;", b"<a>\"&\xa0");
    check("HTML_ENTITY_DECODE", b"&#x3c;&#X3C;&#60;&#60x", b"<<<<x");
    check("HTML_ENTITY_DECODE", b"&LT;&unknown;&", b"<&unknown;&");
    check("HTML_ENTITY_DECODE", b"&#;&#x;&#xzz;", b"&#;&#x;&#xzz;");
    check("HTML_ENTITY_DECODE", "&#x20ac;".as_bytes(), "€".as_bytes());
}

#[test]
fn command_lines() {
    check("CMD_LINE", b"C^OM\"M'A\\ND", b"command");
    check("CMD_LINE", b"cat  /etc,;passwd (x", b"cat/etc passwd(x");
    check("CMD_LINE_UNIX", b"  Ca\\t '/etc/passwd' ^ ", b"cat/etc/passwd ^");
    check("CMD_LINE_WIN", b"DI^R C:\\\\Windows \"x\"", b"dir c:\\windows x");
}

#[test]
fn urls() {
    check("URL_DECODE", b"a%20b+c%2f%zz%4", b"a b c/%zz%4");
    check("URL_DECODE", b"%u0041", b"%u0041");
    check("URL_DECODE_UNI", b"%u0041%uff1c%U0042%41%u00zz", b"A<BA%u00zz");
    check("URL_DECODE_UNI", b"%u1234", b"\x34");
    check("UTF8_TO_UNICODE", "a€é".as_bytes(), b"a%u20ac%u00e9");
    check("UTF8_TO_UNICODE", b"a\xff", b"a\xff");
}

#[test]
fn base64_and_hex() {
    check("BASE64_DECODE", b"VGVzdENhc2U=", b"TestCase");
    check("BASE64_DECODE", b"VGVzdABDYXNl", b"Test\0Case");
    check("BASE64_DECODE", b"VGVz.dENhc2U=", b"Tes");
    check(
        "BASE64_DECODE_EXT",
        b"P.HNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==",
        b"<script>alert(1)</script>",
    );
    check("HEX_DECODE", b"3c7363726970743e", b"<script>");
    check("HEX_DECODE", b"4142z", b"AB");
    check("SQL_HEX_DECODE", b"select 0x414243, 0x, 0x4", b"select ABC, 0x, 0x4");
}

#[test]
fn escapes() {
    check(
        "ESCAPE_SEQ_DECODE",
        br#"\a\b\f\n\r\t\v\\\?\'\"\x41\101\q"#,
        b"\x07\x08\x0c\n\r\t\x0b\\?'\"AA\\q",
    );
    check("CSS_DECODE", br"ja\vascript", b"javascript");
    check("CSS_DECODE", br"\61 lert\000028\ff1c", b"alert(<");
    check("JS_DECODE", br"\u003c\x73\143ript\uff1e\n\'\z", b"<script>\n'z");
    check("JS_DECODE", br"\u1234", b"\x34");
    check("JS_DECODE_EXT", br"\u{3c}\u003c\default", br"<<\default");
}

#[test]
fn digests() {
    check(
        "MD5",
        b"abc",
        &[
            0x90, 0x01, 0x50, 0x98, 0x3c, 0xd2, 0x4f, 0xb0, 0xd6, 0x96, 0x3f, 0x7d, 0x28, 0xe1, 0x7f, 0x72,
        ],
    );
    let digest = Transformation::Sha256.apply(b"abc").expect("a digest");
    assert_eq!((digest.len(), &digest[..4]), (32, [0xba, 0x78, 0x16, 0xbf].as_slice()));
}

#[test]
fn paths() {
    check("NORMALIZE_PATH", b"/a//b/./c/../d", b"/a/b/d");
    check("NORMALIZE_PATH", b"../a/../../b", b"../../b");
    check("NORMALIZE_PATH", b"/../../etc/passwd", b"/etc/passwd");
    check("NORMALIZE_PATH", b"/a/b/", b"/a/b/");
    check("NORMALIZE_PATH", b"/", b"/");
    check("NORMALIZE_PATH_WIN", br"\a\\b\..\c", b"/a/c");
}
