//! Groups for SQL databases, PHP and WordPress.

use super::{Detection as D, ManagedRule, Place as P, SQL_PATTERNS, Undo as U, rule};

pub(super) static SQL_RULES: &[ManagedRule] = &[
    rule(
        "SQLi_QUERYARGUMENTS",
        "SQLi_QueryArguments",
        D::Sqli(P::Arguments, &[U::Url, U::UrlTwice]),
    ),
    rule("SQLi_BODY", "SQLi_Body", D::Sqli(P::Body, &[U::Url])),
    rule("SQLi_COOKIE", "SQLi_Cookie", D::Sqli(P::Cookies, &[U::Url])),
    rule(
        "SQLiExtendedPatterns_QUERYARGUMENTS",
        "SQLiExtendedPatterns_QueryArguments",
        D::Patterns(P::Arguments, &[U::Sql], SQL_PATTERNS),
    ),
    rule(
        "SQLiExtendedPatterns_BODY",
        "SQLiExtendedPatterns_Body",
        D::Patterns(P::Body, &[U::Sql], SQL_PATTERNS),
    ),
];

const PHP: &[&str] = &[
    r"\$_(?:get|post|cookie|request|server|files|session|env)\b",
    r"\$globals\s*\[",
    r"\b(?:fsockopen|pfsockopen|shell_exec|proc_open|passthru|pcntl_exec|phpinfo|create_function|call_user_func(?:_array)?|file_put_contents|file_get_contents|move_uploaded_file|base64_decode|str_rot13|gzinflate|gzuncompress|posix_getpwuid|curl_exec|allow_url_include|auto_prepend_file)\s*[(=]",
    r"\b(?:eval|assert|system|exec|popen)\s*\(\s*(?:\$|['\x22`]|base64_decode|gzinflate|str_rot13|chr\s*\()",
    r"<\?(?:php\b|=)",
    r"\b(?:php://(?:input|filter|stdin|memory|temp|output)|phar://|expect://|zip://|glob://)",
    r"\bO:\d{1,4}:\x22[\w\\]{1,80}\x22:\d{1,4}:\{",
];

pub(super) static PHP_RULES: &[ManagedRule] = &[
    rule(
        "PHPHighRiskMethodsVariables_HEADER",
        "PHPHighRiskMethodsVariables_Header",
        D::Patterns(P::Headers, &[U::Url], PHP),
    ),
    rule(
        "PHPHighRiskMethodsVariables_QUERYSTRING",
        "PHPHighRiskMethodsVariables_QueryString",
        D::Patterns(P::Query, &[U::Url], PHP),
    ),
    rule(
        "PHPHighRiskMethodsVariables_BODY",
        "PHPHighRiskMethodsVariables_Body",
        D::Patterns(P::Body, &[U::Url], PHP),
    ),
];

pub(super) static WORDPRESS_RULES: &[ManagedRule] = &[
    rule(
        "WordPressExploitableCommands_QUERYSTRING",
        "WordPressExploitableCommands_QUERYSTRING",
        D::Patterns(
            P::Query,
            &[U::Url],
            &[
                r"\bdo-reset-wordpress\b",
                r"\bup_auto_log=",
                r"\baction=(?:duplicator_download|revslider_show_image|wp_ajax_try_2020|upload_plugin_files|ave_publishpost)\b",
                r"\bwp_?abspath=",
                r"\btemplate=wp-config",
            ],
        ),
    ),
    rule(
        "WordPressExploitablePaths_URIPATH",
        "WordPressExploitablePaths_URIPATH",
        D::Patterns(
            P::Path,
            &[U::Url],
            &[
                r"/xmlrpc\.php",
                r"/wp-config(?:-sample)?\.php",
                r"/wp-admin/(?:install|setup-config|maint/repair)\.php",
                r"/wp-includes/[\w/-]{1,80}\.php",
                r"/wp-content/(?:debug\.log|uploads/[\w./-]{1,120}\.php)",
                r"/(?:timthumb|thumb)\.php$",
            ],
        ),
    ),
];
