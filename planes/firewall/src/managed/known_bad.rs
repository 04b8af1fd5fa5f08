//! AWSManagedRulesKnownBadInputsRuleSet.

use super::{Detection as D, ManagedRule, Place as P, Undo as U, rule};

const JAVA: &[&str] = &[
    r"\bjava\.lang\.(?:Runtime|ProcessBuilder|ProcessImpl|UNIXProcess|ClassLoader)\b",
    r"\bgetRuntime\s*\(\s*\)\s*\.?\s*exec\b",
    r"\bnew\s+(?:java\.lang\.)?ProcessBuilder\s*\(",
    r"\borg\.apache\.commons\.collections[34]?\.(?:functors|Transformer)",
    r"\b(?:com\.sun\.rowset\.JdbcRowSetImpl|com\.sun\.org\.apache\.xalan\.internal\.xsltc\.trax\.TemplatesImpl|javax\.script\.ScriptEngineManager|javax\.management\.BadAttributeValueExpException|org\.springframework\.context\.support\.(?:ClassPath|FileSystem)XmlApplicationContext)\b",
    r"\bysoserial\b",
    r"\bclass\.module\.classLoader\b",
    r"#_memberAccess\b|#context\s*\[|@ognl\.OgnlContext@|@java\.lang\.",
    r"\bT\s*\(\s*java\.",
    r"\brO0AB[XQc]",
    r"\baced0005(?:73|77)",
];

const LOG4J: &[&str] = &[
    r"\$\{\s*jndi\s*:",
    r"\$\{[^{}]{0,60}\$\{\s*(?:lower|upper|env|sys|date|ctx|main|web|docker|k8s|spring|bundle|::?-)",
    r"\$\{\s*(?:lower|upper)\s*:\s*[jndi]",
    r"(?:\$\{[^{}]{0,30}:-[a-z:/]\}){2}",
    r"\bjndi\s*:\s*(?:ldaps?|rmi|dns|iiop|corba|nis|nds)\s*:",
];

const PATHS: &[&str] = &[
    r"(?:^|/)(?:web-inf|meta-inf)(?:/|$)",
    r"(?:^|/)\.(?:git|svn|hg|bzr|aws|ssh|docker|kube)(?:/|$)",
    r"(?:^|/)\.(?:env(?:\.\w+)?|ds_store|htaccess|htpasswd|bash_history|npmrc|pypirc)$",
    r"/actuator/(?:env|heapdump|gateway|jolokia|threaddump|restart|shutdown|loggers)\b",
    r"/phpunit/.{0,80}eval-stdin\.php",
    r"/_ignition/execute-solution",
    r"/(?:solr/admin/|druid/indexer|hnap1\b|boaform/|goform/|setup\.cgi|currentsetting\.htm|cgi-bin/luci|mgmt/tm/util/bash|vpns?/\.\./|invoker/(?:ejb|jmx)invokerservlet|wls-wsat/|_async/asyncresponseservice|console/images/%252e)",
    r"/cgi-bin/(?:\.%2e|%2e|\.\.)",
    r"/(?:server-status|server-info|nginx_status)$",
    r"/autodiscover/autodiscover\.json\?*.*powershell",
];

const REACT: &[&str] = &[
    r"\$[0-9a-f]{1,4}:(?:__proto__|constructor)\b",
    r"\x22status\x22\s*:\s*\x22resolved_model\x22",
    r"\x22_formdata\x22\s*:\s*\{\s*\x22get\x22\s*:\s*\x22\$",
];

const LOCALHOST: &[&str] = &[r"^(?:localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\]|0\.0\.0\.0)\.?(?::\d{1,5})?$"];

pub(super) static RULES: &[ManagedRule] = &[
    rule(
        "JavaDeserializationRCE_HEADER",
        "JavaDeserializationRCE_Header",
        D::Patterns(P::Headers, &[U::Url], JAVA),
    ),
    rule(
        "JavaDeserializationRCE_BODY",
        "JavaDeserializationRCE_Body",
        D::Either(&[
            D::Patterns(P::Body, &[U::Url], JAVA),
            // A serialised object begins with these bytes; such a body is binary.
            D::ExactPatterns(P::RawBody, &[U::Nothing], &[r"^\xac\xed\x00\x05[sw]"]),
        ]),
    ),
    rule(
        "JavaDeserializationRCE_URIPATH",
        "JavaDeserializationRCE_URIPath",
        D::Patterns(P::Path, &[U::Url], JAVA),
    ),
    rule(
        "JavaDeserializationRCE_QUERYSTRING",
        "JavaDeserializationRCE_QueryString",
        D::Patterns(P::Query, &[U::Url], JAVA),
    ),
    rule(
        "Host_localhost_HEADER",
        "Host_Localhost_Header",
        D::Patterns(P::Header("host"), &[U::Nothing], LOCALHOST),
    ),
    rule(
        "PROPFIND_METHOD",
        "Propfind_Method",
        D::Patterns(P::Method, &[U::Nothing], &[r"^propfind$"]),
    ),
    rule(
        "ExploitablePaths_URIPATH",
        "ExploitablePaths_URIPath",
        D::Patterns(P::Path, &[U::Nothing, U::Url], PATHS),
    ),
    rule(
        "Log4JRCE_HEADER",
        "Log4JRCE_Header",
        D::Patterns(P::Headers, &[U::Url], LOG4J),
    ),
    rule(
        "Log4JRCE_QUERYSTRING",
        "Log4JRCE_QueryString",
        D::Patterns(P::Query, &[U::Url, U::UrlTwice], LOG4J),
    ),
    rule(
        "Log4JRCE_BODY",
        "Log4JRCE_Body",
        D::Patterns(P::Body, &[U::Url, U::Js], LOG4J),
    ),
    rule(
        "Log4JRCE_URIPATH",
        "Log4JRCE_URIPath",
        D::Patterns(P::Path, &[U::Url, U::UrlTwice], LOG4J),
    ),
    rule(
        "ReactJSRCE_BODY",
        "ReactJSRCE_Body",
        D::Patterns(P::RawBody, &[U::Nothing, U::Url], REACT),
    ),
];
