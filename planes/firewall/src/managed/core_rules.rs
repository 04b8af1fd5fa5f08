//! AWSManagedRulesCommonRuleSet and AWSManagedRulesAdminProtectionRuleSet.

use super::{Detection as D, ManagedRule, Place as P, Undo as U, rule};

/// Scanners that say who they are.
const BAD_BOTS: &[&str] = &[
    r"\b(?:nessus|nmap|nikto|sqlmap|masscan|zgrab|dirbuster|gobuster|wpscan|acunetix|netsparker|openvas|w3af|arachni|havij|whatweb|nuclei|feroxbuster|commix|fimap|wfuzz|skipfish|zmeu|jorgee|morfeus|fuzz faster u fool|dirsearch|joomscan|webshag|jaeles)\b",
];

/// The metadata services of clouds, also in the disguises of an address.
const METADATA: &[&str] = &[
    r"169\.254\.(?:169\.254|170\.2)\b",
    r"\[?fd00:ec2::254\]?",
    r"metadata\.google\.internal",
    r"\b(?:0xa9fea9fe|2852039166|0251\.0376\.0251\.0376)\b",
    r"instance-data\.ec2\.internal",
];

const LFI: &[&str] = &[
    r"(?:\.\.[\\/]+){2,}",
    r"\.\.[\\/]+(?:etc|proc|var|usr|root|home|boot|windows|winnt|system32|web-inf|\.ssh|\.aws|\.env)\b",
    r"(?:^|[=:\s'\x22])(?:file:/{2,3})?/+(?:\./+)*etc/+(?:\./+)*(?:passwd|shadow|group|hosts|issue|crontab|sudoers|fstab|ssh/|mysql/|nginx/|apache2/|httpd/)",
    r"/proc/(?:self|\d{1,7})/(?:environ|cmdline|maps|fd|status|root|cwd)\b",
    r"\b[a-z]:[\\/]+(?:boot\.ini|windows[\\/]+(?:win\.ini|system32|system\.ini)|inetpub[\\/]+wwwroot)",
    r"[\\/]\.(?:ssh[\\/](?:id_|authorized_keys)|aws[\\/]credentials|htpasswd\b)",
    r"\.\.(?:%c0%af|%252f|%5c|%2f){1,}",
    // A slash in more bytes than it needs.
    r"\.\.(?:\xc0\xaf|\xc1\x9c|\xe0\x80\xaf)",
];

/// A path or an argument that leaves its folder even once: clients resolve dot segments before they send.
const LFI_ONCE: &[&str] = &[r"^\.\.[\\/]", r"[\\/]\.\.(?:[\\/]|$)", r"%00(?:\.|$)"];

const EXTENSIONS_PATH: &[&str] = &[
    r"\.(?:log|ini|bak|backup|old|orig|swp|sql|sqlite3?|mdb|cfg|conf|env|htaccess|htpasswd|pfx|p12|kdbx|dll|sys|rdp|inc|dat|pol|licx|resources|sch|skl|vbproj|csproj|vsdisco|webinfo|xsx)~?$",
];

const EXTENSIONS_ARGUMENT: &[&str] = &[
    r"^[^\s?&]*[\w)]\.(?:log|ini|bak|backup|old|orig|swp|sql|sqlite3?|mdb|cfg|conf|htaccess|htpasswd|pfx|p12|kdbx|dll|sys|rdp)(?:\x00.*)?$",
    r"(?:^|[\\/])\.env$",
];

const RFI: &[&str] = &[r"^\s*(?:https?|ftps?|file)://(?:\d{1,3}\.){3}\d{1,3}(?:[:/?#]|\s*$)"];
const RFI_PATH: &[&str] = &[r"(?:https?|ftps?|file):/{1,2}(?:\d{1,3}\.){3}\d{1,3}(?:[:/?#]|$)"];

/// Entities by name inside of an address, which browsers decode before they look for its scheme.
const XSS_ENTITIES: &[&str] =
    &[r"\b(?:href|src|action|formaction|data|to|from|values)\s*=[^>]{0,80}&(?:tab|newline|colon|sol|lpar);"];

const ADMIN: &[&str] = &[
    r"(?:^|/)(?:sqlmanager|php-?my-?admin\d*|phppgadmin|pma|myadmin|mysql-?admin|dbadmin|adminer(?:-[\d.]+)?|sqlite-?manager|websql|sql-?buddy|cpanel|webmin|sysadmin|administrator|admin|admin-?console|jmx-console|web-console|manager/html|host-manager|plesk|vhcs2|rockmongo|phpredisadmin)(?:/|\.php|\.aspx?|\.jsp|$)",
];

pub(super) static ADMIN_RULES: &[ManagedRule] = &[rule(
    "AdminProtection_URIPATH",
    "AdminProtection_URIPath",
    D::Patterns(P::Path, &[U::Url], ADMIN),
)];

pub(super) static RULES: &[ManagedRule] = &[
    rule("NoUserAgent_HEADER", "NoUserAgent_Header", D::NoHeader("user-agent")),
    rule(
        "UserAgent_BadBots_HEADER",
        "BadBots_Header",
        D::Patterns(P::Header("user-agent"), &[U::Nothing], BAD_BOTS),
    ),
    rule(
        "SizeRestrictions_QUERYSTRING",
        "SizeRestrictions_QueryString",
        D::Larger(P::Query, 2_048),
    ),
    rule(
        "SizeRestrictions_Cookie_HEADER",
        "SizeRestrictions_Cookie_Header",
        D::Larger(P::Header("cookie"), 10_240),
    ),
    rule(
        "SizeRestrictions_BODY",
        "SizeRestrictions_Body",
        D::Larger(P::RawBody, 8_192),
    ),
    rule(
        "SizeRestrictions_URIPATH",
        "SizeRestrictions_URIPath",
        D::Larger(P::Path, 1_024),
    ),
    rule(
        "EC2MetaDataSSRF_BODY",
        "EC2MetaDataSSRF_Body",
        D::Patterns(P::Body, &[U::Url], METADATA),
    ),
    rule(
        "EC2MetaDataSSRF_COOKIE",
        "EC2MetaDataSSRF_Cookie",
        D::Patterns(P::Cookies, &[U::Url], METADATA),
    ),
    rule(
        "EC2MetaDataSSRF_URIPATH",
        "EC2MetaDataSSRF_URIPath",
        D::Patterns(P::Path, &[U::Url], METADATA),
    ),
    rule(
        "EC2MetaDataSSRF_QUERYARGUMENTS",
        "EC2MetaDataSSRF_QueryArguments",
        D::Patterns(P::Arguments, &[U::Url], METADATA),
    ),
    rule(
        "GenericLFI_QUERYARGUMENTS",
        "GenericLFI_QueryArguments",
        D::Either(&[
            D::Patterns(P::Arguments, &[U::Url, U::UrlTwice], LFI),
            D::Patterns(P::Arguments, &[U::UrlTwice], LFI_ONCE),
        ]),
    ),
    rule(
        "GenericLFI_URIPATH",
        "GenericLFI_URIPath",
        D::Either(&[
            D::Patterns(P::Path, &[U::Url, U::UrlTwice], LFI),
            D::Patterns(P::Path, &[U::UrlTwice], LFI_ONCE),
        ]),
    ),
    rule(
        "GenericLFI_BODY",
        "GenericLFI_Body",
        D::Patterns(P::Body, &[U::Url], LFI),
    ),
    rule(
        "RestrictedExtensions_URIPATH",
        "RestrictedExtensions_URIPath",
        D::Patterns(P::Path, &[U::Url], EXTENSIONS_PATH),
    ),
    rule(
        "RestrictedExtensions_QUERYARGUMENTS",
        "RestrictedExtensions_QueryArguments",
        D::Patterns(P::Arguments, &[U::Url], EXTENSIONS_ARGUMENT),
    ),
    rule(
        "GenericRFI_QUERYARGUMENTS",
        "GenericRFI_QueryArguments",
        D::Patterns(P::Arguments, &[U::Url], RFI),
    ),
    rule(
        "GenericRFI_BODY",
        "GenericRFI_Body",
        D::Patterns(P::Body, &[U::Url], RFI),
    ),
    rule(
        "GenericRFI_URIPATH",
        "GenericRFI_URIPath",
        D::Patterns(P::Path, &[U::Url], RFI_PATH),
    ),
    rule(
        "CrossSiteScripting_COOKIE",
        "CrossSiteScripting_Cookie",
        D::Xss(P::Cookies, &[U::Url]),
    ),
    rule(
        "CrossSiteScripting_QUERYARGUMENTS",
        "CrossSiteScripting_QueryArguments",
        D::Either(&[
            D::Xss(P::Arguments, &[U::Url, U::Html, U::UrlTwice]),
            D::Patterns(P::Arguments, &[U::Url], XSS_ENTITIES),
        ]),
    ),
    rule(
        "CrossSiteScripting_BODY",
        "CrossSiteScripting_Body",
        D::Either(&[
            D::Xss(P::Body, &[U::Url, U::Html]),
            D::Patterns(P::Body, &[U::Url], XSS_ENTITIES),
        ]),
    ),
    rule(
        "CrossSiteScripting_URIPATH",
        "CrossSiteScripting_URIPath",
        D::Xss(P::Path, &[U::Url]),
    ),
];
